"""The steps on the small study."""

import sys
from types import ModuleType

import numpy as np
import pytest

from equal_losses.losses.cross_entropy import cross_entropy
from equal_losses.running.errors import InputError
from equal_losses.theory import closed_form, steps
from equal_losses.theory.cases import theory_settings
from equal_losses.theory.model import checkpoints, penalties

from .small_study import config, tables


def test_penalties_have_the_strength_and_the_ratio():
    assert penalties(classes=4, samples=5, strength=0.02, penalty_ratio=5) == pytest.approx((5e-3, 1e-3))


def test_checkpoints_start_at_zero_and_end_at_the_last_iteration():
    assert checkpoints(1000, 4) == [0, 1, 10, 100, 1000]


def test_minima_agree_with_theory():
    minima = tables()["minima"]
    assert len(minima) == 12
    solutions = minima[~minima["is_zero_solution"]]
    assert set(solutions["loss"]) == {"CE", "FL", "MSE"}
    assert solutions[["margin_error", "nc1", "nc2", "nc3", "duality"]].max().max() < 1e-8
    assert minima[minima["is_zero_solution"]]["size"].max() < 1e-8


def test_geometry_ends_at_a_triangle():
    means = tables()["geometry"].query("what == 'class_mean' and loss == 'CE'")
    points = means[["x", "y"]].to_numpy()
    lengths = np.linalg.norm(points, axis=1)
    assert np.ptp(lengths) < 2e-2 * lengths.mean()
    assert means["off_plane"].max() < 2e-2 * lengths.mean()
    assert points.sum(axis=0) == pytest.approx([0, 0], abs=2e-2)


def test_critical_points_of_a_convex_loss_have_a_way_down_unless_they_are_minima():
    points = tables()["critical_points"].query("loss == 'CE'").set_index("rank")
    assert (points["smallest_eigenvalue"] < -1e-3).to_dict() == {0: True, 1: True, 2: False}


def test_starts_of_the_focal_loss_may_end_at_a_local_minimum():
    ends = tables()["starts"].query("loss == 'FL' and classes == 30")
    assert not ends["is_global"].any()
    assert (ends["vanished_classes"] > 0).all()


@pytest.fixture
def doubled_cross_entropy(monkeypatch):
    """A loss without a closed form, as settings."""
    module = ModuleType("equal_losses.losses.doubled")
    module.doubled = lambda logits, labels: 2 * cross_entropy(logits, labels)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return {"name": "D", "kind": "doubled"}


def test_a_loss_without_closed_form_is_predicted_from_itself(doubled_cross_entropy):
    """A doubled cross entropy has the margin of cross entropy at c / 2."""
    case = {"classes": 4, "samples": 2, "dim": 6, "loss": doubled_cross_entropy}
    (row,) = steps.load("minima")({**case, "strengths": [0.2], "penalty_ratios": [1], "seeds": [0]})
    expected = closed_form.global_minimiser("cross_entropy", 4, 0.025).margin
    assert row["margin_closed_form"] == pytest.approx(expected, rel=1e-7)
    assert row["margin"] == pytest.approx(expected, rel=1e-7)


def test_a_loss_without_closed_form_has_curves_without_lines(doubled_cross_entropy):
    rows = steps.load("curves")({"loss": doubled_cross_entropy, "classes": [3]})
    assert {row["curve"] for row in rows} == {"psi", "margin"}
    assert {row["y_closed_form"] for row in rows} == {None}


def test_every_curve_of_the_theory_has_its_line():
    lines = tables()["closed_forms"]
    assert set(lines["curve"]) == {"margin", "bias_nc2", "bias_boundary", "threshold"}
    assert set(lines.query("curve == 'margin'")["loss"]) == {"CE", "FL", "MSE"}


def test_lines_are_drawn_for_every_number_of_classes():
    assert set(tables()["closed_forms"].query("curve == 'margin'")["classes"]) == {3, 4, 10, 18}


def test_a_case_that_cannot_be_computed_is_named():
    study = config()
    study["theory"]["descent"]["step"] = 100
    with np.errstate(all="ignore"), pytest.raises(InputError) as error:
        steps.tables(theory_settings(study))
    assert str(error.value).startswith("theory, descent of CE: step is 100: gradient descent diverged")


@pytest.mark.parametrize(
    "loss, collapses, theorem_1",
    [
        ({"kind": "cross_entropy"}, True, "any lambda_b"),
        ({"kind": "weston_watkins"}, True, "any lambda_b"),  # proved, though its kinks stop a descent
        ({"kind": "gce"}, True, "no bias"),  # found from random starts
        ({"kind": "top_k"}, False, "nowhere"),
        ({"kind": "logit_norm"}, False, "nowhere"),
    ],
)
def test_the_conjecture_is_decided(loss, collapses, theorem_1):
    case = {"classes": 4, "samples": 5, "dim": 7, "strength": 0.02, "penalty_ratio": 5, "starts": 2, "seed": 0}
    (row,) = steps.load("conjecture")({**case, "loss": {"name": "L", **loss}})
    assert (row["collapses"], row["theorem_1"]) == (collapses, theorem_1)
