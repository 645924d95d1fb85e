"""All losses of logits: reductions, gradients and extreme logits; and what builds them."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch

from equal_losses import losses

from .shipped import CASES, built, named

every_loss = pytest.mark.parametrize(("kind", "options"), CASES, ids=named)

# Two samples of three classes. Softmax of the first, of (0, log 2, log 3): 1/6, 1/3, 1/2.
LOGITS = torch.tensor([[0.0, math.log(2), math.log(3)], [1.0, -1.0, 0.5]], dtype=torch.float64)
LABELS = torch.tensor([1, 0])


@every_loss
def test_reductions_are_mean_and_sum_over_the_batch(kind, options):
    loss = built(kind, **options)
    each = [loss(LOGITS[i : i + 1], LABELS[i : i + 1]).item() for i in range(2)]
    assert loss(LOGITS, LABELS, reduction="sum").item() == pytest.approx(sum(each))
    assert loss(LOGITS, LABELS).item() == pytest.approx(sum(each) / 2)


@every_loss
def test_another_reduction_is_named(kind, options):
    with pytest.raises(ValueError, match=r"^reduction is 'none'; allowed: mean, sum$"):
        built(kind, **options)(LOGITS, LABELS, reduction="none")


@every_loss
def test_gradients_and_curvature_agree_with_finite_differences(kind, options):
    logits = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([0, 2, 2, 1])
    assert torch.autograd.gradcheck(lambda z: built(kind, **options)(z, labels), logits)
    assert torch.autograd.gradgradcheck(lambda z: built(kind, **options)(z, labels), logits)


# But for a prior, which tells them apart.
@pytest.mark.parametrize(("kind", "options"), [case for case in CASES if "prior" not in case[1]], ids=named)
def test_all_classes_are_treated_alike(kind, options):
    order = torch.tensor([2, 0, 1])
    loss = built(kind, **options)
    torch.testing.assert_close(loss(LOGITS[:, order], torch.argsort(order)[LABELS]), loss(LOGITS, LABELS))


@every_loss
@pytest.mark.parametrize("gap", [1e4, 1e2, 0.0, -1e2, -1e4])
def test_loss_and_gradient_are_finite_at_extreme_logits(kind, options, gap):
    logits = torch.tensor([[gap, 0.0, -gap], [gap, gap, -gap], [gap, 0.0, 0.0]], requires_grad=True)
    loss = built(kind, **options)(logits, torch.tensor([0, 1, 0]))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@every_loss
@pytest.mark.parametrize("true", [0, 2])
def test_a_gap_of_1e4_in_float32_gives_what_float64_gives(kind, options, true):
    results = []
    for dtype in (torch.float32, torch.float64):
        logits = torch.tensor([[1e4, 3.0, 0.0]], dtype=dtype, requires_grad=True)
        value = built(kind, **options)(logits, torch.tensor([true]))
        results.append(torch.cat([value.view(1), torch.autograd.grad(value, logits)[0][0]]).double())
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-6)


def test_the_name_that_a_study_gives_a_loss_is_no_parameter():
    assert losses.build({"kind": "focal", "name": "FL", "gamma": 3}).keywords == {"gamma": 3}


def test_pytorch_is_imported_with_the_first_loss_only():
    code = "import sys; from equal_losses import losses; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
