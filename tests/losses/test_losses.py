"""The losses against values by hand, autograd, one another and extreme logits."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equal_losses import losses

LOSSES = {
    "cross_entropy": {},
    "focal": {"gamma": 3.0},
    "label_smoothing": {"smoothing": 0.1},
    "mse": {"kappa": 1.0, "beta": 15.0},
}

# Two samples of three classes. Softmax of the first, of (0, log 2, log 3): 1/6, 1/3, 1/2.
LOGITS = torch.tensor([[0.0, math.log(2), math.log(3)], [1.0, -1.0, 0.5]], dtype=torch.float64)
LABELS = torch.tensor([1, 0])


def built(kind: str, **options):
    return losses.build({"kind": kind} | (options or LOSSES[kind]))


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("cross_entropy", {}, math.log(3)),
        ("focal", {"gamma": 3}, (2 / 3) ** 3 * math.log(3)),
        ("label_smoothing", {"smoothing": 0.3}, 0.1 * math.log(6) + 0.8 * math.log(3) + 0.1 * math.log(2)),
        ("mse", {"kappa": 2, "beta": 5}, 2 * (math.log(2) - 5) ** 2 + math.log(3) ** 2),
        (
            "mse",
            {"kappa": 2, "beta": 5, "class_reduction": "mean"},  # as the released code does
            (2 * (math.log(2) - 5) ** 2 + math.log(3) ** 2) / 3,
        ),
    ],
)
def test_losses_by_hand(kind, options, expected):
    assert built(kind, **options)(LOGITS[:1], LABELS[:1]).item() == pytest.approx(expected)


@pytest.mark.parametrize("kind", LOSSES)
def test_reductions_are_mean_and_sum_over_the_batch(kind):
    loss = built(kind)
    each = [loss(LOGITS[i : i + 1], LABELS[i : i + 1]).item() for i in range(2)]
    assert loss(LOGITS, LABELS, reduction="sum").item() == pytest.approx(sum(each))
    assert loss(LOGITS, LABELS).item() == pytest.approx(sum(each) / 2)


@pytest.mark.parametrize("kind", LOSSES)
def test_another_reduction_is_named(kind):
    with pytest.raises(ValueError, match=r"^reduction is 'none'; allowed: mean, sum$"):
        built(kind)(LOGITS, LABELS, reduction="none")


def test_another_reduction_over_the_classes_is_named():
    with pytest.raises(ValueError, match=r"^class_reduction is 'max'; allowed: sum, mean$"):
        built("mse", **LOSSES["mse"], class_reduction="max")(LOGITS, LABELS)


@pytest.mark.parametrize(
    ("kind", "options"), [*LOSSES.items(), *(("focal", {"gamma": gamma}) for gamma in (0.0, 0.5, 1.0))]
)
def test_gradients_agree_with_finite_differences(kind, options):
    logits = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([0, 4, 2, 2])
    assert torch.autograd.gradcheck(lambda z: built(kind, **options)(z, labels), logits)


logit_rows = st.lists(st.lists(st.floats(-30, 30), min_size=4, max_size=4), min_size=1, max_size=5)


@settings(deadline=None)
@given(logit_rows)
def test_focal_with_gamma_0_and_label_smoothing_with_alpha_0_are_cross_entropy(rows):
    logits = torch.tensor(rows, dtype=torch.float64)
    labels = torch.arange(len(rows)) % 4
    expected = built("cross_entropy")(logits, labels)
    torch.testing.assert_close(built("focal", gamma=0)(logits, labels), expected)
    torch.testing.assert_close(built("label_smoothing", smoothing=0.0)(logits, labels), expected)


@settings(deadline=None)
@given(logit_rows, st.floats(-10, 10))
def test_the_softmax_losses_do_not_see_a_shift_of_all_logits(rows, shift):
    logits = torch.tensor(rows, dtype=torch.float64)
    labels = torch.arange(len(rows)) % 4
    for kind in ("cross_entropy", "focal", "label_smoothing"):
        torch.testing.assert_close(built(kind)(logits + shift, labels), built(kind)(logits, labels))


@pytest.mark.parametrize(("kind", "options"), [*LOSSES.items(), ("focal", {"gamma": 0.5})])
@pytest.mark.parametrize("sign", [1, -1])
def test_loss_and_gradient_are_finite_at_extreme_logits(kind, options, sign):
    logits = torch.tensor([[sign * 1e4, 0.0, -sign * 1e4], [1e4, 1e4, -1e4]], requires_grad=True)
    loss = built(kind, **options)(logits, torch.tensor([0, 1]))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_the_name_that_a_study_gives_a_loss_is_no_parameter():
    assert losses.build({"kind": "focal", "name": "FL", "gamma": 3}).keywords == {"gamma": 3}


def test_pytorch_is_imported_with_the_first_loss_only():
    code = "import sys; from equal_losses import losses; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
