"""The ledger: on evidence whose verdict is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from equal_losses.claims.evidence import NOT_DECIDED, NOT_SUPPORTED, SUPPORTED, Evidence
from equal_losses.claims.ledger import ledger, undecided
from equal_losses.statistics.equivalence import equivalence

CONFIG = Path(__file__).parents[2] / "config"
LOSSES = ("CE", "FL", "MSE")
THRESHOLDS = yaml.safe_load((CONFIG / "demo.yaml").read_text())["evidence"]
STATEMENTS = pd.DataFrame(
    [
        ("margin as in closed form", "Theorem 1", "CE", 80, 1e-13, 1e-5, True, None),
        ("all norms equal", "Theorem 1", "CE", 80, 1e-9, 1e-5, True, "margin 5.3"),
        ("t* unique for every c", "Definition 1", "FL", 10, 0.1, np.nan, False, None),
        ("curvature, K = 3, K c = 0.1", "derived in ufm", "CE", 3, 1e-9, 1e-6, True, None),
        ("curvature, K = 10, K c = 0.1", "derived in ufm", "CE", 3, 1e-9, 1e-6, True, None),
        ("convex where p >= 0.21", "Section 3.2", np.nan, 4, 0.0, np.nan, True, None),
    ],
    columns=["claim", "source", "loss", "cases", "largest_error", "tolerance", "supported", "numbers"],
)


def evidence(*, seeds=5, widths=(0.5, 1), change=None, cka=0.99, spread=0.0005) -> Evidence:
    """An experiment in which all of the paper's claims hold, but for what `change` does to the table of runs."""
    random = np.random.default_rng(0)
    rows = []
    for loss in LOSSES:
        for width in widths:
            for epochs in (10, 20):
                for seed in range(seeds):
                    # The losses part in small networks, and come together in large ones.
                    apart = 0.02 * LOSSES.index(loss) * (width == 0.5)
                    accuracy = 0.8 + 0.05 * width + 0.002 * epochs - apart + random.normal(0, spread)
                    grid = {"experiment": "toy", "loss": loss, "width": width, "epochs": epochs, "seed": seed}
                    metrics = dict.fromkeys(["nc1", "nc2", "nc3", "nc2_centered", "nc3_centered"], 0.01)
                    rows.append(grid | metrics | {"accuracy_test": accuracy, "final_accuracy_train": 1.0})
    runs = pd.DataFrame(rows)
    if change is not None:
        change(runs)
    models = [(loss, seed) for loss in LOSSES for seed in range(seeds)]
    pairs = []
    for (first, one), (second, other) in combinations(models, 2):
        comparison = "seeds" if first == second else "losses" if one == other else "losses_other_seed"
        for split in ("train", "test"):
            for part in ("features", "within_class"):
                value = cka if (split, part) == ("train", "features") and comparison != "seeds" else 0.5
                pairs.append((comparison, split, part, first, one, second, other, value))
    names = "comparison split part first_loss first_seed second_loss second_seed cka"
    compared = equivalence(runs, margin=THRESHOLDS["margin"], significance=THRESHOLDS["significance"])
    return Evidence(runs, compared, pd.DataFrame(pairs, columns=names.split()), THRESHOLDS)


def verdicts(part: Evidence) -> dict[str, set[str]]:
    """Verdicts by the name of the claim."""
    table = ledger({"toy": part}, STATEMENTS)
    table = table[table["experiment"] == "toy"]
    return {name: set(rows["verdict"]) for name, rows in table.groupby("name")}


def test_where_everything_is_as_the_paper_says_every_claim_is_supported():
    assert verdicts(evidence()) == {
        name: {SUPPORTED}
        for name in (
            "training_accuracy",
            "collapse",
            "equal_features",
            "equal_accuracy",
            "smaller_gap",
            "wider_is_better",
            "longer_is_better",
        )
    }


def setting(column: str, value: float, loss: str = "FL", width: float = 1, seed: int = 3):
    def change(runs: pd.DataFrame) -> None:
        chosen = (runs["loss"] == loss) & (runs["width"] == width) & (runs["epochs"] == 20) & (runs["seed"] == seed)
        runs.loc[chosen, column] = value

    return change


@pytest.mark.parametrize("metric", ["nc1", "nc2", "nc3"])
def test_one_seed_above_one_threshold_is_no_collapse_under_that_loss(metric):
    part = evidence(change=setting(metric, THRESHOLDS[metric] * 1.01))
    table = ledger({"toy": part}, STATEMENTS)
    rows = table[table["name"] == "collapse"].set_index("subject")["verdict"]
    assert rows.to_dict() == {"CE": SUPPORTED, "FL": NOT_SUPPORTED, "MSE": SUPPORTED}


def test_what_happens_in_small_configurations_is_no_matter_of_collapse():
    assert verdicts(evidence(change=setting("nc1", 9, width=0.5)))["collapse"] == {SUPPORTED}


def test_without_a_fit_of_the_training_data_nothing_is_decided_about_what_follows_it():
    found = verdicts(evidence(change=setting("final_accuracy_train", 0.99)))
    assert found["training_accuracy"] == {SUPPORTED, NOT_SUPPORTED}
    assert found["collapse"] == {SUPPORTED, NOT_DECIDED}
    assert found["equal_features"] == found["equal_accuracy"] == {NOT_DECIDED}


def test_features_that_differ_on_training_images_are_not_equal():
    assert verdicts(evidence(cka=0.9))["equal_features"] == {NOT_SUPPORTED}


def shifted(loss: str, points: float):
    def change(runs: pd.DataFrame) -> None:
        runs.loc[runs["loss"] == loss, "accuracy_test"] += points / 100

    return change


def test_a_loss_that_is_better_by_more_than_the_margin_is_a_difference():
    assert verdicts(evidence(change=shifted("MSE", 3)))["equal_accuracy"] == {NOT_SUPPORTED}


def test_a_spread_like_the_margin_decides_nothing_about_equality():
    assert verdicts(evidence(seeds=3, spread=0.01))["equal_accuracy"] == {NOT_DECIDED}


def test_what_is_not_decided_says_with_how_many_seeds_it_would_be():
    table = ledger({"toy": evidence(seeds=4, spread=0.01)}, STATEMENTS).query("experiment == 'toy'")
    is_open = table["name"].isin(["equal_accuracy", "smaller_gap", "wider_is_better", "longer_is_better"])
    is_open &= table["verdict"] == NOT_DECIDED
    assert is_open.any()
    assert (table.loc[is_open, "seeds_needed"] > 4).all()
    assert table.loc[~is_open, "seeds_needed"].isna().all()


def test_where_longer_is_worse_it_is_not_supported_that_longer_is_better():
    def change(runs: pd.DataFrame) -> None:
        runs.loc[runs["epochs"] == 20, "accuracy_test"] -= 0.1

    found = verdicts(evidence(change=change))
    assert found["longer_is_better"] == {NOT_SUPPORTED}
    assert found["wider_is_better"] == {SUPPORTED}


def test_one_width_decides_nothing_about_width():
    found = verdicts(evidence(widths=(1,)))
    assert found["wider_is_better"] == {NOT_DECIDED}
    assert found["longer_is_better"] == {SUPPORTED}


def test_a_gap_that_grows_with_the_network_is_not_a_gap_that_shrinks():
    def change(runs: pd.DataFrame) -> None:
        runs.loc[(runs["loss"] == "CE") & (runs["width"] == 1), "accuracy_test"] -= 0.1

    assert verdicts(evidence(change=change))["smaller_gap"] == {NOT_SUPPORTED}


def test_one_loss_alone_is_equal_to_no_other():
    part = evidence()
    alone = Evidence(
        part.runs[part.runs["loss"] == "CE"],
        part.equivalence.iloc[:0],
        part.alignment[(part.alignment["first_loss"] == "CE") & (part.alignment["second_loss"] == "CE")],
        THRESHOLDS,
    )
    found = verdicts(alone)
    assert found["equal_features"] == found["equal_accuracy"] == found["smaller_gap"] == {NOT_DECIDED}


def test_one_seed_decides_nothing_and_says_so():
    table = ledger({"toy": evidence(seeds=1)}, STATEMENTS)
    own = table[table["experiment"] == "toy"]
    assert set(own["verdict"]) == {NOT_DECIDED}
    reasons = own.set_index("name")["numbers"]
    assert "; 1 seed; at least 2 are needed" in reasons["training_accuracy"].iloc[0]


def test_a_rule_is_a_sentence_with_the_thresholds_of_the_study():
    part = replace(evidence(), thresholds={**THRESHOLDS, "nc1": 0.07})
    table = ledger({"toy": part}, STATEMENTS)
    rule = table[table["name"] == "collapse"]["rule"].iloc[0]
    assert "NC1, NC2 and NC3 of every seed end at or below 0.07, 0.2 and 0.2" in rule
    assert not table["rule"].str.contains(r"[{}]").any()


@pytest.fixture
def theorems():
    """Rows of the theory by the place of the statement."""
    table = ledger({"toy": evidence()}, STATEMENTS)
    return table[table["experiment"] == "theory"].set_index("name")


def test_a_theorem_is_supported_where_all_its_statements_are(theorems):
    assert theorems["verdict"].to_dict() == {
        "Theorem 1": SUPPORTED,
        "Definition 1": NOT_SUPPORTED,
        "Section 3.2": SUPPORTED,
        "derived in ufm": SUPPORTED,
    }


def test_what_the_paper_does_not_state_is_called_so(theorems):
    assert theorems.loc["derived in ufm", "claim"] == "Beyond the paper: curvature."


def test_a_theorem_comes_with_its_largest_error(theorems):
    numbers = "2 statements, 160 cases; largest error 1.0e-09, tolerance 1e-05; margin 5.3"
    assert theorems.loc["Theorem 1", "numbers"] == numbers


def test_a_statement_that_fails_is_named(theorems):
    assert theorems.loc["Definition 1", "numbers"] == (
        "1 statement, 10 cases; fails: t* unique for every c (10% of cases against it)"
    )


@pytest.mark.parametrize("study", ["demo", "fashion", "paper"])
def test_the_shipped_studies_set_every_threshold(study):
    thresholds = yaml.safe_load((CONFIG / f"{study}.yaml").read_text())["evidence"]
    schema = yaml.safe_load((CONFIG / "schema.yaml").read_text())["properties"]["evidence"]
    assert thresholds.keys() == schema["properties"].keys()


def test_where_runs_are_missing_nothing_is_decided_that_needs_them():
    whole = ledger({"toy": evidence()}, STATEMENTS)
    found = undecided(whole, "toy", "1 of 9 runs missing", ["FL"])
    touched = (found["experiment"] == "toy") & found["subject"].isin(["FL", "all losses"])
    assert set(found.loc[touched, "verdict"]) == {NOT_DECIDED}
    assert found.loc[touched, "numbers"].str.endswith("; 1 of 9 runs missing").all()
    pd.testing.assert_frame_equal(found[~touched], whole[~touched])
