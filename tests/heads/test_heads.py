"""The heads: logits, what the metrics take for W and b, and copies."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from equal_losses import heads
from equal_losses.study import kinds

KINDS = kinds.kinds("heads")


def head(kind: str, seed: int = 0, **options) -> nn.Module:
    torch.manual_seed(seed)
    return heads.build({"kind": kind, **options}, dimension=6, classes=4)


def features(count: int = 50) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", KINDS)
def test_weight_and_bias_predict_what_the_head_predicts(kind):
    built = head(kind)
    linear = features() @ built.weight.T + (0 if built.bias is None else built.bias)
    assert built(features()).shape == (50, 4)
    assert torch.equal(linear.argmax(dim=1), built(features()).argmax(dim=1))
    assert built.in_features == 6


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_head_says_that_it_gives_it_has(kind):
    assert all(hasattr(head(kind), name) for name in kinds.constant("heads", kind, "GIVES"))


def test_the_logits_of_the_linear_head_are_eq_1():
    built = head("linear")
    torch.testing.assert_close(built(features()), features() @ built.weight.T + built.bias)


def test_the_logits_of_the_cosine_head_are_cosines_times_the_scale():
    built = head("cosine", scale=7)
    expected = 7 * torch.cosine_similarity(features()[:, None], built.direction[None], dim=2)
    torch.testing.assert_close(built(features()), expected)
    torch.testing.assert_close(built(3 * features()), expected)
    torch.testing.assert_close(built.weight.norm(dim=1), torch.ones(4))


def test_the_seed_determines_the_rows():
    first, same, other = (head("cosine", seed).direction for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_features_of_zero_have_finite_logits_and_gradients():
    built, zero = head("cosine"), torch.zeros(2, 6, requires_grad=True)
    built(zero).sum().backward()
    assert zero.grad.isfinite().all()
    assert built.direction.grad.isfinite().all()
