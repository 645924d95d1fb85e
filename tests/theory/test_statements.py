"""The statements against tables that hold and tables that do not."""

import math

import pandas as pd
import pytest

from equal_losses.study.kinds import kinds
from equal_losses.theory.statements import COLUMNS, statements
from equal_losses.theory.steps.spheres import MODELS

from .small_study import tables

# Losses of which Theorem 1 is tried with a bias in every study.
COUNTEREXAMPLES = {"cross entropy", "saturating", "mean absolute error", "symmetric cross entropy"}


@pytest.fixture
def by_claim():
    """The statements of the small study, by what they say and for which loss."""
    return tables()["statements"].set_index(["claim", "loss"])


def test_a_row_belongs_to_a_loss_or_to_none():
    assert set(tables()["statements"]["loss"]) == {"CE", "FL", "MSE", "", *COUNTEREXAMPLES, *MODELS}


def test_what_the_theory_does_not_cover_is_not_supported(by_claim):
    assert set(by_claim[~by_claim["supported"]].index) == {
        ("NC2 = 0 for any lambda_b", "MSE"),
        ("loss = phi(t) for equal other logits, whatever their shift", "MSE"),
        ("t* unique for every c", "FL"),
        ("the global minimisers are neural collapse", "triplet"),
        *(("the global minimisers are not neural collapse", loss) for loss in ("easy positive", "SoftTriple")),
        *(("no minimum is below collapse", loss) for loss in COUNTEREXAMPLES - {"cross entropy"}),
        ("critical points that are not global are strict saddles, K = 30, K c = 1.23", "FL"),
        ("random starts end at the global value, K = 30, K c = 1.23", "FL"),
    }


def test_a_statement_counts_its_own_cases(by_claim):
    assert by_claim.loc[("Hessian nullity at the minimum", "MSE"), "cases"] == 1


def test_a_statement_has_its_largest_error(by_claim):
    assert by_claim.loc[("NC2 under a penalised bias", "MSE"), "largest_error"] < 1e-8


def test_the_conjecture_has_its_numbers_predicted_beside_computed(by_claim):
    numbers = by_claim.loc[("the global minimisers are neural collapse", "CE"), "numbers"]
    assert "margin 5.283204, predicted 5.283204; ||w||^2 3.962403, predicted 3.962403" in numbers


def test_a_descent_that_a_kink_stops_says_nothing_of_theorem_1():
    minima = tables()["minima"].query("loss == 'CE'").assign(gradient_norm=1.0, margin_error=1.0)
    stated = statements({**tables(), "minima": minima}).query("loss == 'CE'").set_index("claim")
    assert not stated.loc["a descent ends at a minimum no higher than predicted", "supported"]
    assert "Theorem 1" not in set(stated["source"])


def test_a_wrong_minimum_of_a_loss_that_is_not_convex_says_nothing_of_theorem_1():
    minima = tables()["minima"].query("loss == 'FL'")
    minima = minima.assign(objective=minima["objective"] + 1, margin_error=1.0)
    for is_convex, sources in ((False, set()), (True, {"Theorem 1"})):
        stated = statements({**tables(), "minima": minima.assign(is_convex=is_convex)}).query("loss == 'FL'")
        assert set(stated["source"]) & {"Theorem 1"} == sources


def test_theorem_1_holds_without_a_bias_and_under_the_repaired_condition(by_claim):
    assert by_claim.loc[("no minimum is below collapse, without a bias", "saturating"), "supported"]
    repaired = "no minimum is below collapse, t* <= 0 the only minimiser of phi(t) - c t"
    assert by_claim.loc[(repaired, "cross entropy"), "supported"]


def test_no_rows_are_no_statements():
    stated = statements({table: pd.DataFrame() for table in kinds("theory.steps")})
    assert stated.empty
    assert tuple(stated) == COLUMNS


@pytest.mark.parametrize(
    "table, column, value, claim",
    [
        ("minima", "margin_error", 1e-3, "margin as in closed form (relative)"),
        ("minima", "nc2", -1e-3, "NC2 = 0"),
        ("minima", "nc1", math.nan, "NC1 = 0"),
        ("minima", "certificate", 1.1, "certificate at most 1 at the minimum"),
        ("conjecture", "collapses", False, "the global minimisers are neural collapse"),
        ("descent", "nc3", 1e-3, "NC3 = 0 at the end of gradient descent"),
        ("starts", "is_global", False, "random starts end at the global value, K = 3, K c = 0.1"),
        ("critical_points", "nullity", 3.0, "Hessian nullity at the minimum"),
        ("critical_points", "escape_curvature", 1.0, "curvature of the escape direction (relative)"),
        ("definition", "violations", 1, "loss >= phi(t)"),
        ("curves", "y", 3.0, "phi(t) as in closed form (relative)"),
    ],
)
def test_a_statement_that_fails_is_not_supported(by_claim, table, column, value, claim):
    spoilt = tables()[table].copy()
    spoilt[column] = spoilt[column].where(spoilt["loss"] != "CE", value)
    stated = statements({**tables(), table: spoilt}).set_index(["claim", "loss"])
    assert by_claim.loc[(claim, "CE"), "supported"]
    assert not stated.loc[(claim, "CE"), "supported"]


def test_a_convexity_threshold_above_the_paper_s_region_is_not_supported(by_claim):
    spoilt = tables()["focal_convexity"].assign(threshold=0.3)
    stated = statements({**tables(), "focal_convexity": spoilt}).set_index(["claim", "loss"])
    assert by_claim.loc[("convex where p >= 0.21", ""), "supported"]
    assert not stated.loc[("convex where p >= 0.21", ""), "supported"]
