"""Several networks as one: what is computed is what each computes alone, and what cannot be stacked is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from equal_losses.networks.network import Network
from equal_losses.running.errors import InputError
from equal_losses.training import stacking
from equal_losses.training.loop import assembled

from .runs import perceptron


def images(count: int = 5) -> Tensor:
    return torch.randn((count, 1, 8, 8), generator=torch.Generator().manual_seed(0))


def seeded(seed: int, kind: str = "perceptron", layer: nn.Module | None = None, head: str = "linear") -> Network:
    torch.manual_seed(seed)
    if kind == "perceptron":
        return perceptron(3, layer)
    return assembled({"network": {"kind": kind, "width": 0.125}, "head": {"kind": head}}, 3, 1)


@given(size=st.integers(1, 5), shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), seed=st.integers(0, 99))
@settings(deadline=None)
def test_what_is_folded_and_unfolded_is_as_it_was(size, shape, seed):
    generator = torch.Generator().manual_seed(seed)
    parts = [{"weight": torch.randn(shape, generator=generator), "count": torch.tensor(3)} for _ in range(size)]
    unfolded = stacking.unfold(stacking.fold(parts), size)
    for part, again in zip(parts, unfolded, strict=True):
        assert part.keys() == again.keys()
        assert all(torch.equal(part[name], again[name]) for name in part)


@pytest.mark.parametrize(
    ("kind", "head"),
    [("small_resnet", "linear"), ("small_resnet", "cosine"), ("wide_resnet18", "linear"), ("perceptron", "linear")],
)
@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
def test_networks_compute_together_what_they_compute_alone(kind, head, mode):
    members = [seeded(seed, kind, head=head).double().train(mode) for seed in range(3)]
    together = stacking.stacked(members, images()).double().train(mode)
    batches = torch.stack([images().double() * (1 + index) for index in range(3)])
    logits, features = together(batches)
    for index, member in enumerate(members):
        alone = member(batches[index])
        torch.testing.assert_close((logits[index], features[index]), alone, rtol=1e-9, atol=1e-9)
    parts = stacking.unfold(together.network.state_dict(), 3)
    for member, state in zip(members, parts, strict=True):
        assert state.keys() == member.state_dict().keys()
        for name, tensor in member.state_dict().items():
            torch.testing.assert_close(state[name], tensor, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (nn.LayerNorm(6), r"its layer backbone.4 \(LayerNorm\) has no form in a stack"),
        (nn.Dropout(0.5), "it computes something else in a stack than alone"),
        (nn.Softmax(dim=1), "it computes something else in a stack than alone"),
        (nn.LocalResponseNorm(3), "it computes something else in a stack than alone"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_network_that_cannot_be_stacked_is_refused(layer, what):
    if isinstance(layer, nn.LocalResponseNorm):  # which wants channels of something
        layer = nn.Sequential(nn.Unflatten(1, (-1, 1)), layer, nn.Flatten())
    members = [seeded(0, layer=layer) for _ in range(2)]
    with pytest.raises(InputError, match=rf"^network: {what}.*; allowed with `stack` above 1: convolutions"):
        stacking.stacked(members, images())
