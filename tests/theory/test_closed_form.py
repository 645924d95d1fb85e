"""The closed forms against reference values, against the losses themselves and against direct minimisation."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equal_losses import losses
from equal_losses.losses.bce import bce
from equal_losses.losses.focal import focal
from equal_losses.running.errors import InputError
from equal_losses.theory import closed_form
from equal_losses.theory.convexity import smallest_zero_sum_curvature
from equal_losses.theory.ufm import UnconstrainedFeatureModel, margins, minimise

from .paper_losses import CLASSES, LAMBDA_H, LAMBDA_W, PARAMETERS, REFERENCE, SAMPLES

C = math.sqrt(SAMPLES * LAMBDA_W * LAMBDA_H)


@pytest.mark.parametrize("kind", PARAMETERS)
def test_reference_margin_and_weight_norm(kind):
    minimiser = closed_form.global_minimiser(kind, CLASSES, C, **PARAMETERS[kind])
    margin, weight_norm_sq = REFERENCE[kind]
    assert minimiser.margin == pytest.approx(margin, abs=5e-7)
    assert minimiser.weight_norm_sq(CLASSES, SAMPLES, LAMBDA_W, LAMBDA_H) == pytest.approx(weight_norm_sq, abs=5e-6)
    assert minimiser.shared == 0
    assert minimiser.nc2(CLASSES) < 1e-15


def one_loss(kind, parameters, logits, label):
    """The loss of one sample."""
    loss = losses.load(kind)
    return loss(torch.tensor([logits], dtype=torch.float64), torch.tensor([label]), **parameters).item()


parameters_of = {
    "cross_entropy": st.just({}),
    "label_smoothing": st.fixed_dictionaries({"smoothing": st.floats(0, 0.9)}),
    "focal": st.fixed_dictionaries({"gamma": st.floats(0, 6)}),
    "mse": st.fixed_dictionaries({"kappa": st.floats(0.2, 5), "beta": st.floats(0.5, 20)}),
}


@pytest.mark.parametrize("kind", PARAMETERS)
@given(data=st.data(), classes=st.integers(2, 30), margin=st.floats(-5, 12))
@settings(max_examples=50, deadline=None)
def test_phi_is_the_loss_where_other_logits_are_equal(kind, data, classes, margin):
    parameters = data.draw(parameters_of[kind])
    shift = data.draw(st.floats(-5, 5))
    if kind == "mse":  # equality at one shift alone
        kappa, beta = parameters["kappa"], parameters["beta"]
        shift = kappa * (beta - margin) / (kappa + classes - 1)
    logits = [shift] * classes
    logits[1] += margin
    phi = closed_form.PHI[kind](-(classes - 1) * margin, classes, **parameters)
    assert phi == pytest.approx(one_loss(kind, parameters, logits, 1), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("kind", PARAMETERS)
@given(data=st.data(), classes=st.integers(2, 60), log_c=st.floats(-9, 1))
@settings(max_examples=50, deadline=None)
def test_margin_minimises_the_reduced_objective(kind, data, classes, log_c):
    parameters = data.draw(parameters_of[kind])
    c = math.exp(log_c)
    minimiser = closed_form.global_minimiser(kind, classes, c, **parameters)
    phi = closed_form.PHI[kind]

    def objective(margins):
        t = -(classes - 1) * np.asarray(margins)
        return phi(t, classes, **parameters) + c * np.abs(t)

    margins = np.concatenate([np.linspace(0, 30, 3001), minimiser.margin + np.array([-1e-3, 1e-3])])
    values = objective(margins)
    assert minimiser.value == pytest.approx(float(objective(minimiser.margin)), rel=1e-10, abs=1e-12)
    assert minimiser.value <= values.min() + 1e-10 * (1 + abs(minimiser.value))


@pytest.mark.parametrize("kind, factor", [("cross_entropy", 1.0), ("label_smoothing", 0.9)])
def test_collapse_threshold(kind, factor):
    """s* > 0 exactly if K c < 1, for label smoothing 1 - alpha."""
    below, above = (
        closed_form.global_minimiser(kind, 10, factor * ratio / 10, **PARAMETERS[kind]).margin for ratio in (0.999, 1)
    )
    assert below > 1e-4
    assert above == pytest.approx(0, abs=1e-12)


def mse_objective(classes, c, lambda_b, kappa, beta, margin, shared, bias):
    """The convex problem that MSE reduces to, from the logits themselves."""
    logits = np.full(classes, (shared - margin) / classes + bias)
    logits[0] += margin
    loss = kappa * (logits[0] - beta) ** 2 + np.sum(logits[1:] ** 2)
    nuclear = (classes - 1) * abs(margin) + abs(shared)
    return loss + c * nuclear + lambda_b * classes * bias**2 / 2


@given(
    classes=st.integers(2, 20),
    log_c=st.floats(-7, 2),
    log_lambda_b=st.one_of(st.none(), st.floats(-9, 3)),
    kappa=st.floats(0.2, 5),
    beta=st.floats(0.5, 20),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=200, deadline=None)
def test_mse_minimiser_with_penalised_bias(classes, log_c, log_lambda_b, kappa, beta, seed):
    """The problem is convex, so no nearby point being lower makes the minimum global."""
    c, lambda_b = math.exp(log_c), 0.0 if log_lambda_b is None else math.exp(log_lambda_b)
    found = closed_form.global_minimiser("mse", classes, c, lambda_b, kappa=kappa, beta=beta)
    problem = partial(mse_objective, classes, c, lambda_b, kappa, beta)
    value = problem(found.margin, found.shared, found.bias)
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.margin >= 0 and found.shared >= 0
    steps = np.random.default_rng(seed).standard_normal((100, 3)) * np.geomspace(1e-4, 1, 100)[:, None]
    for step in np.concatenate([steps, 1e-3 * np.eye(3), -1e-3 * np.eye(3)]):
        assert problem(found.margin + step[0], found.shared + step[1], found.bias + step[2]) >= value - 1e-11 * value


def test_mse_beyond_the_boundary():
    """The sizes above with lambda_b = 0.01: uncentered NC2 is 0.46."""
    minimiser = closed_form.global_minimiser("mse", 4, C, 0.01, kappa=1, beta=15)
    assert minimiser.nc2(4) == pytest.approx(0.45975408, abs=1e-8)
    gram = minimiser.margin * (np.eye(4) - 1 / 4) + minimiser.shared / 4
    etf = (np.eye(4) - 1 / 4) / math.sqrt(3)
    assert minimiser.nc2(4) == pytest.approx(np.linalg.norm(gram / np.linalg.norm(gram) - etf), rel=1e-12)


@given(classes=st.integers(2, 50), c=st.floats(1e-4, 0.02), kappa=st.floats(0.3, 4), beta=st.floats(5, 20))
@settings(max_examples=50, deadline=None)
def test_mse_boundary_is_where_the_shared_component_starts(classes, c, kappa, beta):
    boundary = closed_form.bias_boundary("mse", classes, c, kappa=kappa, beta=beta)
    below, above = (
        closed_form.global_minimiser("mse", classes, c, factor * boundary, kappa=kappa, beta=beta)
        for factor in (1 - 1e-6, 1 + 1e-6)
    )
    assert below.shared == 0 < above.shared
    assert above.shared < 1e-4 * above.margin
    one = closed_form.bias_boundary("mse", classes, c, kappa=1.0, beta=beta)
    assert beta * one / (2 + one) == pytest.approx(classes * c / 2, rel=1e-9)


def test_mse_class_mean_is_the_sum_with_larger_penalties():
    mean = closed_form.global_minimiser("mse", 5, 0.01, 0.002, kappa=2.0, beta=10.0, class_reduction="mean")
    summed = closed_form.global_minimiser("mse", 5, 0.05, 0.01, kappa=2.0, beta=10.0)
    assert (mean.margin, mean.bias, mean.shared) == (summed.margin, summed.bias, summed.shared)
    assert mean.value == pytest.approx(summed.value / 5)


@pytest.mark.parametrize("gamma, threshold", [(0.0, 0.0), (3.0, 0.0574969)])
def test_focal_threshold_reference(gamma, threshold):
    assert closed_form.focal_convexity_threshold(gamma) == pytest.approx(threshold, abs=1e-7)


@given(gamma=st.floats(0.2, 10), classes=st.integers(2, 8), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_focal_hessian_changes_sign_at_the_threshold(gamma, classes, seed):
    """Whatever the other logits are."""
    threshold = closed_form.focal_convexity_threshold(gamma)
    others = np.random.default_rng(seed).standard_normal(classes - 1)
    loss = partial(focal, gamma=gamma)
    for p, positive in ((threshold * (1 - 1e-4), False), (threshold * (1 + 1e-4), True)):
        true = math.log(p / (1 - p)) + np.log(np.exp(others).sum())
        curvature = smallest_zero_sum_curvature(loss, np.concatenate([[true], others]), 0)
        assert (curvature > 0) == positive


def test_the_origin_is_where_focal_is_concave_from_eighteen_classes_on():
    threshold = closed_form.focal_convexity_threshold(3.0)
    assert 1 / 18 < threshold < 1 / 17


def test_focal_margin_jumps_to_zero_where_the_simplex_and_the_origin_tie():
    tie, margin = 0.011752115591, 2.373137933
    below = closed_form.global_minimiser("focal", 100, tie * (1 - 1e-9), gamma=3.0)
    above = closed_form.global_minimiser("focal", 100, tie * (1 + 1e-9), gamma=3.0)
    assert below.margin == pytest.approx(margin, rel=1e-6)
    assert above.margin == 0


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: closed_form.global_minimiser("label_smoothing", 3, 0.1, smoothing=1.0), "smoothing is 1.0"),
        (lambda: closed_form.global_minimiser("mse", 3, 0.1, kappa=0.0, beta=1.0), "kappa is 0.0"),
        (lambda: closed_form.global_minimiser("mse", 3, 0.1, kappa=1, beta=1, class_reduction="x"), "class_reduction"),
        (lambda: closed_form.focal_convexity_threshold(-1.0), "gamma is -1.0"),
    ],
)
def test_bad_input_is_named(call, name):
    with pytest.raises(InputError, match=name) as error:
        call()
    assert "allowed" in str(error.value) and "\n" not in str(error.value)


def test_name_kind_and_reduction_are_no_parameters_of_a_closed_form():
    loss = {"name": "FL", "kind": "focal", "gamma": 3, "reduction": "sum"}
    assert closed_form.loss_parameters(loss) == {"gamma": 3}


@pytest.mark.parametrize("c, classes, boundary", [(0.005, 4, 0.00217622), (0.002, 10, 0.00043919)])
def test_bce_leaves_the_etf_beyond_the_boundary_of_its_bias(c, classes, boundary):
    assert closed_form.bias_boundary("bce", classes, c) == pytest.approx(boundary, rel=2e-5)
    below, above = (closed_form.global_minimiser("bce", classes, c, factor * boundary) for factor in (0.99, 1.01))
    assert below.shared == 0 < above.shared


@pytest.mark.parametrize("lambda_b", [0, 1e-3, 2.2e-3, 0.01, 1])
@pytest.mark.parametrize("strength", [0.02, 0.8, 1.2, 3.2])
@pytest.mark.parametrize("classes", [2, 3, 4])
def test_the_closed_form_of_bce_is_the_minimum_of_eq_7(classes, strength, lambda_b):
    model = UnconstrainedFeatureModel(bce, classes, 1, classes + 1, strength / classes, strength / classes, lambda_b)
    point = minimise(model, model.random_point(0))
    expected = closed_form.global_minimiser("bce", classes, model.c, lambda_b)
    assert model.value_and_gradient(point)[0] == pytest.approx(expected.value, abs=1e-10)
    assert margins(model, point) == pytest.approx(expected.margin, abs=1e-6)
    weights = np.sum(point.W**2, axis=1)
    assert weights == pytest.approx(expected.weight_norm_sq(classes, 1, model.lambda_W, model.lambda_H), abs=1e-6)
    if lambda_b:
        assert point.b == pytest.approx(expected.bias, abs=1e-6)


def test_the_reference_of_bce():
    assert closed_form.global_minimiser("bce", 4, 0.005).value == pytest.approx(0.172319707, abs=1e-9)
    beyond = closed_form.global_minimiser("bce", 4, 0.005, lambda_b=0.01)
    assert (beyond.margin, beyond.bias) == pytest.approx((9.190240, -0.5), abs=1e-6)
