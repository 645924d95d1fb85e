"""Small runs: their settings, how they are trained, and what must not differ between two that mean the same."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from equal_losses.networks.network import Network
from equal_losses.training.loop import train
from equal_losses.training.numerics import reproducible
from equal_losses.training.state import TrainingState
from equal_losses.training.together import train_together

CPU = torch.device("cpu")

LOSSES = {
    "CE": {"kind": "cross_entropy", "reduction": "mean"},
    "FL": {"kind": "focal", "gamma": 3, "reduction": "mean"},
}
SETTINGS = {
    "loss": LOSSES["CE"],
    "network": {"kind": "small_resnet", "width": 0.25},
    "head": {"kind": "linear"},
    "epochs": 7,
    "seed": 1,
    "batch_size": 100,
    "learning_rate": 0.1,
    "optimizer": {"kind": "sgd", "momentum": 0.9},
    "weight_decay": 0.0005,
    "schedule": {"kind": "steps", "at": ["3/7", "5/7"], "factor": 0.1, "shift": 0},
    "clip_norm": 2,
    "precision": "float32",
    "crop_padding": 1,
    "flip": True,
    "normalization": None,
    "test_normalization": None,
}
# What differs from computer to computer and from day to day.
TIMED = ("seconds", "images_per_second")


# Optimisers that keep more than the paper's, or less.
OTHER_OPTIMIZERS = {
    "adam": {"optimizer": {"kind": "adam"}, "learning_rate": 0.01},
    "adamw": {"optimizer": {"kind": "adamw"}, "learning_rate": 0.01, "schedule": {"kind": "cosine", "warmup": 2}},
    "without momentum": {"optimizer": {"kind": "sgd", "momentum": 0}},
}


def run(loss: str = "CE", *, width: float = 0.25, **changes: object) -> dict:
    """The resolved settings of a run."""
    network = {**SETTINGS["network"], "width": width}
    return {**SETTINGS, "loss": LOSSES[loss], "network": network, **changes}


def trained(settings: Mapping, dataset, *, compiled: bool = False, **options) -> TrainingState:
    """The run, trained on one thread."""
    return states_of(settings, dataset, compiled=compiled, **options)[-1]


def states_of(settings: Mapping, dataset, *, compiled: bool = False, **options) -> list[TrainingState]:
    """The run at its beginning and after each epoch, trained on one thread."""
    with reproducible(1, compiled=compiled):
        return list(train(settings, dataset, device=CPU, compiled=compiled, **options))


def trained_together(settings: Mapping, dataset, **options) -> list[TrainingState]:
    """The runs, trained as one."""
    with reproducible(1):
        return list(train_together(settings, dataset, device=CPU, **options))[-1]


def largest_difference(ours: TrainingState, theirs: TrainingState) -> float:
    """Of weights, what the optimiser keeps and best weights, over the largest value of the tensor."""
    differences = []
    for group in ("weights", "optimizer", "best_weights"):
        own, other = getattr(ours, group), getattr(theirs, group)
        assert own.keys() == other.keys()
        differences += [float((own[name] - other[name]).abs().max() / other[name].abs().max()) for name in own]
    return max(differences)


def bits(state: TrainingState) -> dict:
    """Everything that must not differ between two trainings that mean the same."""
    tensors = {
        f"{group}/{name}": tensor.numpy().tobytes()
        for group in ("weights", "optimizer", "best_weights")
        for name, tensor in getattr(state, group).items()
    }
    history = [{key: value for key, value in row.items() if key not in TIMED} for row in state.history]
    return {"tensors": tensors, "history": history, "best": (state.best_epoch, state.best_val_accuracy)}


def perceptron(classes: int, layer: nn.Module | None = None) -> Network:
    """8 x 8 images to 6 features to classes, as a user may write it, with one more layer."""
    layers = [nn.Flatten(), nn.Linear(64, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), layer or nn.Identity()]
    return Network(nn.Sequential(*layers), nn.Linear(6, classes))
