"""Whether losses are equally accurate: on data whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from equal_losses.statistics.equivalence import equivalence, mean_interval

LOSSES = ("CE", "FL", "LS", "MSE")


def simulated(truth: dict[str, float], *, spread: float, seeds: int, studies: int = 1, seed: int = 0) -> pd.DataFrame:
    """Runs of independent studies, told apart by their width, with normal test accuracies around the truth."""
    random = np.random.default_rng(seed)
    rows = [
        {"experiment": "toy", "loss": loss, "width": study, "epochs": 1, "seed": number, "accuracy_test": value}
        for study in range(studies)
        for loss, mean in truth.items()
        for number, value in enumerate(random.normal(mean, spread, seeds))
    ]
    return pd.DataFrame(rows)


def share_of_studies(table: pd.DataFrame, verdict: str) -> float:
    """Share of the studies in which some pair has this verdict."""
    return table.groupby("width")["verdict"].agg(lambda verdicts: (verdicts == verdict).any()).mean()


def test_a_pair_of_losses_is_held_against_the_margin_by_two_one_sided_tests():
    runs = simulated({"CE": 0.95, "MSE": 0.951}, spread=0.002, seeds=6)
    (row,) = equivalence(runs, margin=0.01, significance=0.05).itertuples()
    by_loss = runs.pivot(index="seed", columns="loss", values="accuracy_test")
    differences = by_loss["CE"] - by_loss["MSE"]
    error = differences.std(ddof=1) / np.sqrt(6)
    assert row.difference == pytest.approx(differences.mean())
    t = stats.t(5)
    assert row.p_equivalence == pytest.approx(t.sf((0.01 - abs(differences.mean())) / error))
    assert row.p_difference == pytest.approx(2 * t.sf(abs(differences.mean()) / error))
    assert row.interval_high - row.interval_low == pytest.approx(2 * error * t.ppf(0.95))  # 90 %: TOST at 5 %
    assert (row.verdict, row.seeds) == ("equivalent", 6)


def test_the_levels_are_corrected_for_the_pairs_of_four_losses():
    table = equivalence(simulated(dict.fromkeys(LOSSES, 0.9), spread=0.01, seeds=3), margin=1, significance=0.06)
    assert len(table) == 6
    assert set(table["equivalence_level"]) == {0.02}
    assert set(table["difference_level"]) == {0.01}


@pytest.mark.parametrize("seeds", [3, 5])
def test_losses_at_the_margin_are_called_equivalent_no_more_often_than_the_level(seeds):
    """The worst case of the hypothesis that TOST rejects: one loss apart from three equal ones by the margin itself."""
    truth = {"CE": 0.9, "FL": 0.9, "LS": 0.9, "MSE": 0.91}
    table = equivalence(simulated(truth, spread=0.002, seeds=seeds, studies=2000), margin=0.01, significance=0.05)
    apart = table[table["second_loss"] == "MSE"]
    assert share_of_studies(apart, "equivalent") <= 0.05 + 0.015


def test_the_test_is_no_more_careful_than_its_level_for_one_pair():
    table = equivalence(
        simulated({"CE": 0.9, "MSE": 0.91}, spread=0.002, seeds=5, studies=4000), margin=0.01, significance=0.05
    )
    assert share_of_studies(table, "equivalent") == pytest.approx(0.05, abs=0.015)


def test_equal_losses_are_called_different_no_more_often_than_the_level():
    table = equivalence(
        simulated(dict.fromkeys(LOSSES, 0.9), spread=0.01, seeds=5, studies=2000), margin=0.001, significance=0.05
    )
    assert 0.01 <= share_of_studies(table, "different") <= 0.05 + 0.015


def test_with_enough_seeds_the_truth_is_found():
    truth = {"CE": 0.9, "FL": 0.9, "LS": 0.9, "MSE": 0.93}
    table = equivalence(simulated(truth, spread=0.002, seeds=10), margin=0.01, significance=0.05)
    for row in table.itertuples():
        assert row.verdict == ("different" if row.second_loss == "MSE" else "equivalent")


def test_three_seeds_with_the_spread_of_the_margin_decide_nothing():
    table = equivalence(
        simulated({"CE": 0.9, "MSE": 0.9}, spread=0.01, seeds=3, studies=500), margin=0.01, significance=0.05
    )
    assert (table["verdict"] == "undecided").mean() > 0.85


@pytest.mark.parametrize("accuracies", [[0.5], [0.5, 0.5]], ids=["one seed", "no spread"])
def test_what_has_no_interval_is_undecided(accuracies):
    runs = pd.concat(
        simulated({"CE": value, "MSE": value + 0.1}, spread=0, seeds=1).assign(seed=seed)
        for seed, value in enumerate(accuracies)
    )
    (row,) = equivalence(runs, margin=0.2, significance=0.05).itertuples()
    assert (row.verdict, row.seeds) == ("undecided", len(accuracies))
    assert row.difference == pytest.approx(-0.1)
    assert np.isnan(row.interval_low)


def test_one_loss_has_no_pairs():
    assert equivalence(simulated({"CE": 0.9}, spread=0.01, seeds=3), margin=0.01, significance=0.05).empty


def test_the_interval_of_a_mean_is_students():
    mean, low, high = mean_interval([1.0, 2.0, 4.0], 0.95)
    half = stats.t(2).ppf(0.975) * np.std([1, 2, 4], ddof=1) / np.sqrt(3)
    assert (mean, low, high) == pytest.approx((7 / 3, 7 / 3 - half, 7 / 3 + half))
    assert np.isnan(mean_interval([1.0], 0.95)[1])
