"""The losses against values by hand, autograd, one another and extreme logits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from neural_collapse import losses

LOSSES = {
    "cross_entropy": {},
    "focal": {"gamma": 3.0},
    "label_smoothing": {"smoothing": 0.1},
    "mse": {"kappa": 1.0, "beta": 15.0},
}

# Two samples of three classes. Softmax of the first, of (0, log 2, log 3): 1/6, 1/3, 1/2.
LOGITS = torch.tensor([[0.0, math.log(2), math.log(3)], [1.0, -1.0, 0.5]], dtype=torch.float64)
LABELS = torch.tensor([1, 0])


def loss_of_first(name: str, **options) -> float:
    return getattr(losses, name)(LOGITS[:1], LABELS[:1], **options).item()


def test_cross_entropy_by_hand():
    assert loss_of_first("cross_entropy") == pytest.approx(math.log(3))


def test_focal_by_hand():
    assert loss_of_first("focal", gamma=3) == pytest.approx((2 / 3) ** 3 * math.log(3))


def test_label_smoothing_by_hand():
    smooth = [0.1, 0.8, 0.1]
    expected = -sum(y * math.log(p) for y, p in zip(smooth, (1 / 6, 1 / 3, 1 / 2), strict=True))
    assert loss_of_first("label_smoothing", smoothing=0.3) == pytest.approx(expected)


def test_mse_by_hand_sums_over_the_classes():
    expected = 2 * (math.log(2) - 5) ** 2 + math.log(3) ** 2
    assert loss_of_first("mse", kappa=2, beta=5) == pytest.approx(expected)


def test_mse_can_average_over_the_classes_as_the_released_code_does():
    expected = (2 * (math.log(2) - 5) ** 2 + math.log(3) ** 2) / 3
    assert loss_of_first("mse", kappa=2, beta=5, class_reduction="mean") == pytest.approx(expected)


@pytest.mark.parametrize("name", LOSSES)
def test_reductions_are_mean_and_sum_over_the_batch(name):
    loss = getattr(losses, name)
    each = [loss(LOGITS[i : i + 1], LABELS[i : i + 1], **LOSSES[name]).item() for i in range(2)]
    assert loss(LOGITS, LABELS, **LOSSES[name], reduction="sum").item() == pytest.approx(sum(each))
    assert loss(LOGITS, LABELS, **LOSSES[name]).item() == pytest.approx(sum(each) / 2)
    with pytest.raises(ValueError, match="reduction is 'max'; allowed: mean, sum"):
        loss(LOGITS, LABELS, **LOSSES[name], reduction="max")


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_finite_differences(name):
    logits = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([0, 4, 2, 2])
    assert torch.autograd.gradcheck(lambda z: getattr(losses, name)(z, labels, **LOSSES[name]), logits)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 3.0])
def test_focal_gradient_agrees_with_finite_differences_at_other_gammas(gamma):
    logits = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: losses.focal(z, torch.tensor([0, 1, 2, 3]), gamma=gamma), logits)


logit_rows = st.lists(st.lists(st.floats(-30, 30), min_size=4, max_size=4), min_size=1, max_size=5)


@given(logit_rows)
def test_focal_with_gamma_0_and_label_smoothing_with_alpha_0_are_cross_entropy(rows):
    logits = torch.tensor(rows, dtype=torch.float64)
    labels = torch.arange(len(rows)) % 4
    expected = losses.cross_entropy(logits, labels)
    torch.testing.assert_close(losses.focal(logits, labels, gamma=0), expected)
    torch.testing.assert_close(losses.label_smoothing(logits, labels, smoothing=0.0), expected)


@given(logit_rows, st.floats(-10, 10))
def test_the_softmax_losses_do_not_see_a_shift_of_all_logits(rows, shift):
    logits = torch.tensor(rows, dtype=torch.float64)
    labels = torch.arange(len(rows)) % 4
    for name in ("cross_entropy", "focal", "label_smoothing"):
        loss = getattr(losses, name)
        torch.testing.assert_close(loss(logits + shift, labels, **LOSSES[name]), loss(logits, labels, **LOSSES[name]))


@pytest.mark.parametrize("gamma", [0.5, 3.0])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("sign", [1, -1])
def test_loss_and_gradient_are_finite_at_extreme_logits(name, sign, gamma):
    options = {"gamma": gamma} if name == "focal" else LOSSES[name]
    logits = torch.tensor([[sign * 1e4, 0.0, -sign * 1e4], [1e4, 1e4, -1e4]], requires_grad=True)
    loss = getattr(losses, name)(logits, torch.tensor([0, 1]), **options)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
