"""Critical points of the unconstrained feature model and their Hessians, against predictions and counts."""

import numpy as np
import pytest

from equal_losses.theory import closed_form, landscape, ufm
from equal_losses.theory.ufm import UnconstrainedFeatureModel

from .models import small_model
from .paper_losses import LOSSES, PARAMETERS


@pytest.mark.parametrize("kind, expected", [("cross_entropy", 8), ("label_smoothing", 8), ("focal", 8), ("mse", 7)])
def test_hessian_nullity_at_a_minimum(kind, expected):
    """d (K-1) - K (K-1)/2 rotations at K=3, d=5, and the shift of the bias where the loss ignores it."""
    model = small_model(kind, classes=3, samples=2, dim=5)
    minimum = ufm.minimise(model, model.random_point(0))
    assert landscape.hessian_nullity(model, minimum) == expected
    assert landscape.expected_hessian_nullity(model) == expected


@pytest.mark.parametrize("kind", PARAMETERS)
def test_a_penalised_bias_fixes_the_shift_of_the_logits(kind):
    model = small_model(kind, classes=3, samples=2, dim=5, lambda_b=1e-4)
    minimum = ufm.minimise(model, model.random_point(0))
    assert landscape.hessian_nullity(model, minimum) == 7
    assert landscape.expected_hessian_nullity(model) == 7


@pytest.mark.parametrize("kind", PARAMETERS)
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_rank_deficient_critical_points_are_strict_saddles(kind, rank):
    model = small_model(kind)
    saddle = landscape.critical_point_of_rank(model, rank, seed=3)
    assert np.linalg.matrix_rank(saddle.W, tol=1e-6) == rank
    assert model.gradient_norm(saddle) < 1e-12
    assert ufm.certificate(model, saddle) > 1.1
    direction, predicted = landscape.escape_direction(model, saddle)
    assert predicted < 0
    assert landscape.curvature(model, saddle, direction) == pytest.approx(predicted, rel=1e-9)
    vector = model.flatten(direction)
    eigenvalue = landscape.smallest_hessian_eigenvalue(model, saddle)
    assert eigenvalue <= predicted / (vector @ vector) * (1 - 1e-9)
    step = 1e-2
    there = model.unflatten(model.flatten(saddle) + step * vector)
    assert model.value_and_gradient(there)[0] - model.value_and_gradient(saddle)[0] == pytest.approx(
        predicted * step**2 / 2, rel=1e-2
    )


@pytest.mark.parametrize("ratio, strict_saddle", [(0.9, True), (1.1, False)])
def test_origin_under_cross_entropy_is_a_strict_saddle_if_and_only_if_Kc_is_below_1(ratio, strict_saddle):
    penalty = ratio / 4 / np.sqrt(5)
    model = small_model("cross_entropy", lambda_W=penalty, lambda_H=penalty)
    origin = landscape.critical_point_of_rank(model, 0, seed=0)
    assert not origin.W.any() and not origin.H.any()
    assert ufm.certificate(model, origin) == pytest.approx(1 / ratio)
    assert (landscape.smallest_hessian_eigenvalue(model, origin) < -1e-3) == strict_saddle


def test_focal_origin_is_a_local_minimum_that_is_not_global():
    """Outside Corollary 2's region: Theorem 2 does not extend to the focal loss."""
    c = 0.041
    model = UnconstrainedFeatureModel(LOSSES["focal"], 30, 1, 31, c, c, lambda_b=0.01)
    origin = landscape.critical_point_of_rank(model, 0, seed=0)
    assert ufm.certificate(model, origin) < 1
    assert landscape.smallest_hessian_eigenvalue(model, origin) > 1e-5
    best = closed_form.global_minimiser("focal", 30, c, gamma=3.0)
    assert best.margin > 0.5 and best.value < model.value_and_gradient(origin)[0] - 1e-4


@pytest.mark.parametrize("rank", [1, 3])
def test_lanczos_finds_the_dense_eigenvalue(monkeypatch, rank):
    model = small_model("focal")
    point = landscape.critical_point_of_rank(model, rank, seed=0)
    dense = landscape.smallest_hessian_eigenvalue(model, point)
    monkeypatch.setattr(landscape, "DENSE_SIZE", 0)
    assert landscape.smallest_hessian_eigenvalue(model, point) == pytest.approx(dense, abs=1e-9)
