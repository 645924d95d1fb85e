"""The unconstrained feature model against finite differences and closed forms."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equal_losses.losses.mse import mse
from equal_losses.running.errors import InputError
from equal_losses.theory import closed_form, landscape, ufm
from equal_losses.theory.ufm import Point, UnconstrainedFeatureModel

from .models import small_model
from .paper_losses import LAMBDA_H, LAMBDA_W, LOSSES, PARAMETERS, REFERENCE, SAMPLES


def nc2(W):
    gram = W @ W.T
    etf = (np.eye(len(W)) - 1 / len(W)) / np.sqrt(len(W) - 1)
    return np.linalg.norm(gram / np.linalg.norm(gram) - etf)


@pytest.mark.parametrize("kind", PARAMETERS)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.1, 5))
@settings(max_examples=10, deadline=None)
def test_gradient_and_hessian_are_derivatives(kind, seed, scale):
    model = small_model(kind, classes=3, samples=2, dim=4, lambda_b=0.02)
    point = model.flatten(model.random_point(seed, scale))
    direction = model.flatten(model.random_point(seed + 1))

    def at(step):
        value, gradient = model.value_and_gradient(model.unflatten(point + step * direction))
        return value, model.flatten(gradient)

    step = 1e-5
    slope = (at(step)[0] - at(-step)[0]) / (2 * step)
    assert at(0)[1] @ direction == pytest.approx(slope, rel=1e-5, abs=1e-6)
    product = model.hessian(model.unflatten(point)).matvec(direction)
    difference = (at(step)[1] - at(-step)[1]) / (2 * step)
    np.testing.assert_allclose(product, difference, rtol=1e-5, atol=1e-6 * np.abs(difference).max())


def test_value_is_equation_7():
    model = small_model("cross_entropy", classes=2, samples=1, dim=1, lambda_b=0.5)
    W, H, b = np.array([[1.0], [-1.0]]), np.array([[2.0], [3.0]]), np.array([0.1, 0.4])
    logits = np.array([[2.1, -1.6], [3.1, -2.6]])
    loss = np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(logits, (0, 1), strict=True)])
    expected = loss + 5e-3 / 2 * 2 + 1e-3 / 2 * 13 + 0.5 / 2 * 0.17
    assert model.value_and_gradient(Point(W, H, b))[0] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("kind", PARAMETERS)
@pytest.mark.parametrize("seed", [0, 1])
def test_minimum_has_every_property_of_theorem_1(kind, seed):
    model = small_model(kind)
    minimum = ufm.minimise(model, model.random_point(seed))
    margin, weight_norm_sq = REFERENCE[kind]
    margins = ufm.margins(model, minimum)
    np.testing.assert_allclose(margins, margin, atol=5e-7)
    np.testing.assert_allclose(np.sum(minimum.W**2, axis=1), weight_norm_sq, atol=5e-6)
    closed = closed_form.global_minimiser(kind, 4, model.c, **PARAMETERS[kind])
    np.testing.assert_allclose(margins, closed.margin, rtol=1e-8)
    assert model.value_and_gradient(minimum)[0] == pytest.approx(closed.value, rel=1e-12)
    assert model.gradient_norm(minimum) < 1e-12
    assert max(ufm.theorem_1_deviations(model, minimum).values()) < 1e-8
    assert ufm.certificate(model, minimum) == pytest.approx(1, abs=1e-8)
    assert landscape.smallest_hessian_eigenvalue(model, minimum) > -1e-10


@pytest.mark.parametrize("kind", PARAMETERS)
def test_many_classes_in_many_dimensions_end_at_the_closed_form(kind):
    model = UnconstrainedFeatureModel(LOSSES[kind], 100, 1, 512, 5e-4, 1e-4)
    minimum = ufm.minimise(model, model.random_point(0))
    closed = closed_form.global_minimiser(kind, 100, model.c, **PARAMETERS[kind])
    np.testing.assert_allclose(ufm.margins(model, minimum), closed.margin, rtol=1e-8)
    assert nc2(minimum.W) < 1e-8


@pytest.mark.parametrize("kind, scale", [("cross_entropy", 1.5), ("label_smoothing", 1.5), ("focal", 2.5), ("mse", 40)])
def test_strong_penalties_leave_nothing_but_zero(kind, scale):
    """K c = `scale`, beyond the collapse threshold of each loss."""
    model = small_model(kind, samples=1, lambda_W=scale / 4, lambda_H=scale / 4)
    minimum = ufm.minimise(model, model.random_point(0))
    assert closed_form.global_minimiser(kind, 4, model.c, **PARAMETERS[kind]).margin == 0
    assert np.abs(minimum.W).max() < 1e-9
    assert np.abs(minimum.H).max() < 1e-9
    assert ufm.certificate(model, minimum) < 1


@pytest.mark.parametrize("lambda_b", [0.001, 0.01, 1.0])
@pytest.mark.parametrize("kappa", [1.0, 3.0])
def test_mse_with_penalised_bias_ends_at_the_closed_form(lambda_b, kappa):
    model = small_model("mse", loss=partial(mse, kappa=kappa, beta=15.0), lambda_b=lambda_b)
    minimum = ufm.minimise(model, model.random_point(0))
    closed = closed_form.global_minimiser("mse", 4, model.c, lambda_b, kappa=kappa, beta=15.0)
    W = minimum.W
    weight_norm_sq = closed.weight_norm_sq(4, SAMPLES, LAMBDA_W, LAMBDA_H)
    np.testing.assert_allclose(ufm.margins(model, minimum), closed.margin, rtol=1e-9)
    np.testing.assert_allclose(minimum.b, closed.bias, rtol=1e-9)
    np.testing.assert_allclose(np.sum(W**2, axis=1), weight_norm_sq, rtol=1e-9)
    assert model.value_and_gradient(minimum)[0] == pytest.approx(closed.value, rel=1e-11)
    assert nc2(W) == pytest.approx(closed.nc2(4), abs=1e-8)
    assert nc2(W - W.mean(axis=0)) < 1e-8
    if (lambda_b, kappa) == (0.01, 1.0):
        assert nc2(W) == pytest.approx(0.46, abs=5e-4)


def test_minimum_is_the_same_with_fewer_dimensions_than_classes():
    """d = K - 1 still holds a simplex ETF; nothing is reduced then."""
    model = small_model("label_smoothing", dim=3)
    closed = closed_form.global_minimiser("label_smoothing", 4, model.c, smoothing=0.1)
    minimum = ufm.minimise(model, model.random_point(0))
    assert model.value_and_gradient(minimum)[0] == pytest.approx(closed.value, rel=1e-9)


def test_gradient_descent_follows_the_gradient():
    model = small_model("cross_entropy")
    start = model.random_point(0)
    (first, at_start), (second, after_one), (_, later) = ufm.gradient_descent(model, start, 0.5, [0, 1, 400])
    assert (first, second) == (0, 1)
    gradient = model.value_and_gradient(start)[1]
    for part, moved, slope in zip(at_start, after_one, gradient, strict=True):
        np.testing.assert_allclose(moved, part - 0.5 * slope, rtol=1e-14, atol=1e-15)
    values = [model.value_and_gradient(point)[0] for point in (at_start, after_one, later)]
    assert values[0] > values[1] > values[2]


def test_gradient_descent_with_too_long_a_step_says_that_it_diverged():
    model = small_model("mse")
    with np.errstate(all="ignore"), pytest.raises(InputError, match="gradient descent diverged"):
        list(ufm.gradient_descent(model, model.random_point(0), 100.0, [200]))


def test_margins_are_differences_of_logits():
    model = small_model("cross_entropy", samples=2)
    point = model.random_point(0)
    logits = model.logits(point)
    for row, label in enumerate(model.labels):
        expected = [logits[row, label] - logits[row, other] for other in range(4) if other != label]
        np.testing.assert_allclose(ufm.margins(model, point)[row], expected)


@pytest.mark.parametrize("statement", ["weight_norms", "bias", "duality", "feature_mean", "etf"])
def test_each_deviation_of_theorem_1_is_seen(statement):
    model = small_model("cross_entropy")
    W, H, b = ufm.minimise(model, model.random_point(0))
    disturbed = {
        "weight_norms": Point(W * np.array([[1.1], [1], [1], [1]]), H, b),
        "bias": Point(W, H, b + np.array([0.1, 0, 0, 0])),
        "duality": Point(W, 1.1 * H, b),
        "feature_mean": Point(W, H + 0.1, b),
        "etf": Point(W + 0.1, H, b),
    }
    assert ufm.theorem_1_deviations(model, disturbed[statement])[statement] > 0.02


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"classes": 1}, "classes is 1"),
        ({"samples": 0}, "samples is 0"),
        ({"dim": 0}, "dim is 0"),
        ({"lambda_W": 0.0}, "lambda_W is 0.0"),
        ({"lambda_H": float("nan")}, "lambda_H is nan"),
        ({"lambda_b": -1.0}, "lambda_b is -1.0"),
    ],
)
def test_a_size_or_penalty_out_of_range_is_named(changes, message):
    model = small_model("mse")
    with pytest.raises(InputError, match=message):
        replace(model, **changes)
