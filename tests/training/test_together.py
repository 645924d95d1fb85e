"""Trainings as one are the trainings alone, up to rounding, and go on like them."""

from __future__ import annotations

import pytest
import torch

from equal_losses import losses
from equal_losses.running.errors import InputError
from equal_losses.training import stacking, together
from equal_losses.training.state import TrainingState, load_states, save_states

from .runs import OTHER_OPTIMIZERS, TIMED, bits, largest_difference, run, trained, trained_together


def members(**changes) -> dict[str, dict]:
    """Settings of three runs of two losses and two seeds."""
    return {f"{loss}/seed{seed}": run(loss, seed=seed, **changes) for loss, seed in (("CE", 1), ("FL", 1), ("FL", 2))}


# What is computed


@pytest.mark.parametrize("clip_norm", [0.5, 2, None])
def test_trainings_as_one_are_the_trainings_alone(digits, float64, clip_norm):
    settings = members(clip_norm=clip_norm, weight_decay=0.01)
    states = trained_together(settings, digits)
    for own, alone in zip(states, settings.values(), strict=True):
        other = trained(alone, digits)
        assert largest_difference(own, other) < 1e-9
        assert (own.best_epoch, own.best_val_accuracy) == (other.best_epoch, other.best_val_accuracy)
        for row, others in zip(own.history, other.history, strict=True):
            timed = dict.fromkeys(TIMED, 0)
            assert {**row, **timed} == pytest.approx({**others, **timed}, rel=1e-6)


@pytest.mark.parametrize("optimizer", OTHER_OPTIMIZERS)
def test_whatever_the_optimiser_they_are_the_trainings_alone_and_go_on_with_the_same_bits(
    digits, float64, tmp_path, optimizer
):
    path, settings = tmp_path / "states.safetensors", members(**OTHER_OPTIMIZERS[optimizer])
    states = trained_together(settings, digits, until=3)
    for own, alone in zip(states, settings.values(), strict=True):
        assert largest_difference(own, trained(alone, digits, until=3)) < 1e-9
    save_states(path, trained_together(settings, digits, until=2))
    resumed = trained_together(settings, digits, start=load_states(path), until=3)
    assert list(map(bits, resumed)) == list(map(bits, states))


@pytest.mark.parametrize("count", [3, 1], ids=["three", "what is left over for the last stack"])
def test_a_step_as_one_is_the_step_alone_to_the_digits_of_float32(digits, count):
    settings = dict(list(members(batch_size=10_000).items())[:count])
    states = trained_together(settings, digits, until=1)
    for own, alone in zip(states, settings.values(), strict=True):
        assert largest_difference(own, trained(alone, digits, until=1)) < 1e-4


def test_each_training_as_one_has_its_own_images(digits, monkeypatch):
    """Of two seeds: an order and crops of their own, whatever the loss."""
    seen = []
    forward = stacking.StackedNetwork.forward
    monkeypatch.setattr(
        stacking.StackedNetwork, "forward", lambda network, images: seen.append(images) or forward(network, images)
    )
    trained_together(members(batch_size=10_000), digits, until=1)
    pixels = next(images for images in seen if images.shape[:2] == (3, len(digits.labels("train"))))
    assert torch.equal(pixels[0], pixels[1])
    assert not torch.equal(pixels[1], pixels[2])


def test_the_seconds_of_an_epoch_are_shared_and_the_images_are_all_networks(digits, monkeypatch):
    """Two seconds of training and one of evaluation, of three networks with 240 images each."""
    monkeypatch.setattr(together.time, "perf_counter", iter([0.0, 2.0, 3.0]).__next__)
    rows = [own.history[0] for own in trained_together(members(), digits, until=1)]
    assert [(row["seconds"], row["images_per_second"]) for row in rows] == [(1.0, 360.0)] * 3


# What they go on from


@pytest.fixture(scope="module")
def whole(digits) -> list[TrainingState]:
    """The stack, trained to its end."""
    return trained_together(members(), digits)


@pytest.mark.parametrize("stop", [0, 1, 4])
def test_trainings_as_one_that_stop_and_go_on_end_with_the_same_bits(digits, whole, tmp_path, stop):
    path = tmp_path / "states.safetensors"
    save_states(path, trained_together(members(), digits, until=stop))
    resumed = trained_together(members(), digits, start=load_states(path))
    assert list(map(bits, resumed)) == list(map(bits, whole))


# How it fails


def test_of_trainings_as_one_the_one_that_diverges_is_named(digits, monkeypatch):
    settings = members(clip_norm=None)
    settings["FL/seed2"]["loss"] = {**settings["FL/seed2"]["loss"], "gamma": 2}
    build = losses.build

    def huge(options):
        loss = build(options)
        return (lambda *pair, **named: loss(*pair, **named) / 0.0) if options.get("gamma") == 2 else loss

    monkeypatch.setattr(losses, "build", huge)
    with pytest.raises(InputError, match=r"training diverged \(FL/seed2\): the loss is inf at epoch 1, step 1,"):
        trained_together(settings, digits)
