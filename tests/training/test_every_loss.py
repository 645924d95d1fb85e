"""Every loss of the library trains, goes on where it stopped, and is stacked."""

from __future__ import annotations

import pytest
import torch

from equal_losses.study import kinds
from tests.losses.shipped import REQUIRED

from .runs import bits, largest_difference, run, trained, trained_together

LOSSES = {kind: {"kind": kind, **REQUIRED.get(kind, {}), "reduction": "mean"} for kind in kinds.kinds("losses")}


def head_for(kind: str) -> dict:
    """The head that gives what the loss asks for."""
    return {"kind": "cosine", "scale": 10} if "scale" in kinds.asked(kind) else {"kind": "linear"}


def settings_of(kind: str, **changes) -> dict:
    return {**run(epochs=2, **changes), "loss": LOSSES[kind], "head": head_for(kind)}


@pytest.mark.parametrize("kind", LOSSES)
def test_a_training_that_stops_and_goes_on_ends_with_the_same_bits(digits, kind):
    whole = trained(settings_of(kind), digits)
    first = trained(settings_of(kind), digits, until=1)
    assert bits(trained(settings_of(kind), digits, start=first)) == bits(whole)
    names = [name for name in first.weights if name.startswith("classifier")]
    assert any(not torch.equal(first.weights[name], whole.weights[name]) for name in names)


@pytest.mark.parametrize("head", [{"kind": "linear"}, {"kind": "cosine", "scale": 10}], ids=lambda head: head["kind"])
def test_trainings_as_one_are_the_trainings_alone(digits, float64, head):
    settings = {kind: settings_of(kind) for kind in LOSSES if head_for(kind) == head}
    assert len(settings) > 3
    states = trained_together(settings, digits)
    for own, (kind, alone) in zip(states, settings.items(), strict=True):
        assert largest_difference(own, trained(alone, digits)) < 1e-6, kind


def test_the_losses_of_a_stack_have_their_own_features_and_weights(digits, float64):
    """Of three seeds, a step on all images: with those of another network it would be another step."""
    settings = {f"seed{seed}": settings_of("l_softmax", seed=seed, batch_size=10_000) for seed in (1, 2, 3)}
    for own, alone in zip(trained_together(settings, digits), settings.values(), strict=True):
        assert largest_difference(own, trained(alone, digits)) < 1e-9


@pytest.mark.parametrize("kind", ["arcface", "center"])
def test_a_loss_that_asks_for_features_or_the_head_learns(digits, kind):
    learning = run(width=0.5, batch_size=20, crop_padding=0, flip=False)
    state = trained({**learning, "loss": LOSSES[kind], "head": head_for(kind)}, digits)
    assert state.history[-1]["train_loss"] < 0.8 * state.history[0]["train_loss"]
    assert state.history[-1]["val_accuracy"] > 0.5
