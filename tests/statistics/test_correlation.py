"""Whether collapse predicts accuracy: on data whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from equal_losses.statistics.correlation import correlation

LOSSES = ("CE", "FL", "LS", "MSE")


def grid(slope: float, *, of_loss: float = 0.0, seeds: int = 8) -> pd.DataFrame:
    """Runs whose accuracy depends on width and loss, and on log NC1 by `slope`; wide networks collapse more."""
    random = np.random.default_rng(3)
    rows = []
    for place, loss in enumerate(LOSSES):
        for width in (0.5, 1, 2):
            for seed in range(seeds):
                collapse = random.normal(-width - of_loss * place, 0.3)
                accuracy = 0.8 + 0.05 * width + 0.02 * of_loss * place + slope * collapse + random.normal(0, 0.002)
                metrics = {"nc1": np.exp(collapse), "nc2": random.random(), "nc3": 0.1}
                run = {"experiment": "toy", "loss": loss, "width": width, "epochs": 9, "seed": seed}
                rows.append(run | metrics | {"final_accuracy_test": accuracy})
    return pd.DataFrame(rows)


def correlations(runs: pd.DataFrame) -> pd.DataFrame:
    table = correlation(runs, significance=0.05, resamples=500, seed=1)
    return table.set_index(["metric", "held"])


def test_without_anything_held_the_correlation_is_spearmans():
    runs = grid(-0.01)
    expected = stats.spearmanr(runs["nc1"], runs["final_accuracy_test"]).statistic
    assert correlations(runs).loc[("nc1", "nothing"), "correlation"] == pytest.approx(expected)


def test_a_correlation_that_only_the_width_makes_goes_when_width_is_held():
    table = correlations(grid(0.0))
    assert table.loc[("nc1", "nothing"), "interval_high"] < -0.5
    row = table.loc[("nc1", "width, epochs")]
    assert row["interval_low"] < 0 < row["interval_high"]
    assert abs(row["correlation"]) < 0.25


def test_a_correlation_that_only_the_loss_makes_goes_when_the_loss_is_held():
    table = correlations(grid(0.0, of_loss=1.0))
    assert table.loc[("nc1", "width, epochs"), "interval_high"] < -0.5
    row = table.loc[("nc1", "width, epochs, loss")]
    assert row["interval_low"] < 0.1
    assert row["interval_high"] > -0.1


def test_a_true_relation_is_still_there_when_everything_is_held():
    table = correlations(grid(-0.02))
    assert table.loc[("nc1", "width, epochs, loss"), "interval_high"] < -0.5
    unrelated = table.loc[("nc2", "width, epochs, loss")]
    assert unrelated["interval_low"] < 0 < unrelated["interval_high"]


def test_a_metric_that_does_not_vary_has_no_correlation():
    assert np.isnan(correlations(grid(0.0)).loc[("nc3", "nothing"), "correlation"])


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says():
    """Spearman's correlation of a bivariate normal is 6/pi arcsin(rho/2)."""
    truth = 6 / np.pi * np.arcsin(0.5 / 2)
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        x, noise = random.normal(size=(2, 60))
        runs = pd.DataFrame({"nc1": x, "nc2": x, "nc3": x, "final_accuracy_test": 0.5 * x + np.sqrt(0.75) * noise})
        runs = runs.assign(experiment="toy", width=1, epochs=1, loss="CE")
        row = correlation(runs, significance=0.1, resamples=200, seed=0).iloc[0]
        covered += row["interval_low"] <= truth <= row["interval_high"]
    assert 0.8 <= covered / 100 <= 0.97
