"""Ties, folds and convexity of losses of the true class's probability, against reference values."""

import numpy as np
import pytest
from scipy.optimize import bisect
from scipy.special import expit

from equal_losses import losses
from equal_losses.theory.bands import band, convexity_threshold
from equal_losses.theory.convexity import smallest_zero_sum_curvature
from equal_losses.theory.steps import load

GCE, MAE = {"kind": "gce", "q": 0.7}, {"kind": "gce", "q": 1}
SCE, POLY1 = {"kind": "sce", "alpha": 0.1, "beta": 1, "log_zero": -4}, {"kind": "poly1", "epsilon": 2}


@pytest.mark.parametrize(
    "loss, classes, expected",
    [
        (GCE, 3, (0.463463, 0.471424, 0.474129, 0.5025)),
        (GCE, 4, (0.378929, 0.410289, 0.421448, 1.1001)),
        (GCE, 100, (0.039811, 0.197185, 0.319279, 5.7720)),
        (MAE, 10, (0.100000, 0.219309, 0.277778, 3.1888)),
        (SCE, 4, (1.100000, 1.318912, 1.400833, 1.5520)),
        (SCE, 100, (0.140000, 0.608348, 1.061237, 6.1271)),
        (POLY1, 100, (1.020000, 1.077559, 1.136364, 4.2749)),
    ],
)
def test_the_band_of_a_loss(loss, classes, expected):
    found = band(**loss, classes=classes)
    assert found[:3] == pytest.approx(expected[:3], abs=1e-6)
    assert found.margin == pytest.approx(expected[3], abs=1e-4)


@pytest.mark.parametrize("loss, classes", [(POLY1, 4), ({"kind": "focal", "gamma": 3}, 17)])
def test_a_loss_that_is_convex_from_the_origin_on_has_no_band(loss, classes):
    assert band(**loss, classes=classes) is None


@pytest.mark.parametrize("loss", [GCE, MAE, SCE, POLY1, {"kind": "focal", "gamma": 3}])
def test_the_band_is_that_of_the_loss_itself(loss):
    (row,) = load("bands")({"loss": {"name": "L", **loss}, "classes": [30]})
    for name in ("origin", "tie", "fold", "tie_margin"):
        assert row[name] == pytest.approx(row[f"{name}_closed_form"], rel=1e-5)


@pytest.mark.parametrize("loss, expected", [(GCE, 0.411765), (MAE, 0.5), (SCE, 0.4875), (POLY1, 0.25)])
def test_the_threshold_of_convexity_is_where_the_hessian_loses_its_negative_eigenvalue(loss, expected):
    others = np.array([0.3, -1.0, 0.5])

    def curvature(log_odds: float) -> float:
        logits = np.insert(others, 0, log_odds + np.log(np.exp(others).sum()))
        return smallest_zero_sum_curvature(losses.build({"name": "L", **loss}), logits, 0)

    assert convexity_threshold(**loss) == pytest.approx(expected, abs=1e-6)
    assert expit(bisect(curvature, -3, 3, xtol=1e-10)) == pytest.approx(expected, abs=1e-6)
