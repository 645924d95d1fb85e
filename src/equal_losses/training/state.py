"""What a training goes on from, in memory and on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from equal_losses.running import weights
from equal_losses.running.errors import InputError


@dataclass
class TrainingState:
    """Everything that a training goes on from.

    Attributes:
        epoch: epochs completed.
        weights: parameters and buffers by name.
        momentum: momentum buffers by parameter name; empty before the first step.
        best_weights: weights of the epoch with the best validation accuracy; ties go to the earliest.
        best_epoch, best_val_accuracy: that epoch (completed) and its validation accuracy in 0..1.
        history: one row per epoch; see `loop.train`.
    """

    epoch: int
    weights: dict[str, Tensor]
    momentum: dict[str, Tensor] = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    best_val_accuracy: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)

    def after(self, weights: dict[str, Tensor], momentum: dict[str, Tensor], row: dict[str, float]) -> TrainingState:
        """The state one epoch later, whose row of the history is `row`."""
        best = (self.best_weights, self.best_epoch, self.best_val_accuracy)
        if row["val_accuracy"] > self.best_val_accuracy:
            best = (weights, self.epoch + 1, row["val_accuracy"])
        return TrainingState(self.epoch + 1, weights, momentum, *best, [*self.history, row])

    @property
    def snapshot(self) -> dict[str, Tensor]:
        """The weights, by epoch and name."""
        return {f"{self.epoch}/{name}": tensor for name, tensor in self.weights.items()}

    def save(self, path: Path) -> None:
        """Write to one safetensors file, atomically."""
        save_states(path, [self])

    @classmethod
    def load(cls, path: Path) -> TrainingState:
        """Read a file that `save` wrote; see `load_states`."""
        (state,) = load_states(path)
        return state


def save_states(path: Path, states: Sequence[TrainingState]) -> None:
    """Write states to one safetensors file, atomically."""
    tensors, scalars = {}, []
    for index, state in enumerate(states):
        groups = {"weights": state.weights, "momentum": state.momentum}
        if state.best_epoch != state.epoch:
            groups["best"] = state.best_weights
        tensors |= {
            f"{index}/{group}/{name}": tensor for group, part in groups.items() for name, tensor in part.items()
        }
        scalars.append(
            {
                "epoch": state.epoch,
                "best_epoch": state.best_epoch,
                "best_val_accuracy": state.best_val_accuracy,
                "history": state.history,
            }
        )
    weights.save(path, tensors, {"states": json.dumps(scalars)})


def load_states(path: Path) -> list[TrainingState]:
    """Read a file that `save_states` wrote, onto the CPU.

    Raises:
        InputError: where the file is not whole or holds no training states.
    """
    tensors, metadata = weights.load(path)
    if "states" not in metadata:
        raise InputError(f"{path}: no training state; expected the file that a training wrote")
    scalars = json.loads(metadata["states"])
    parts: list[dict[str, dict[str, Tensor]]] = [{"weights": {}, "momentum": {}, "best": {}} for _ in scalars]
    for name, tensor in tensors.items():
        index, group, rest = name.split("/", 2)
        parts[int(index)][group][rest] = tensor
    return [_state(groups, numbers) for groups, numbers in zip(parts, scalars, strict=True)]


def _state(groups: Mapping[str, dict[str, Tensor]], numbers: Mapping) -> TrainingState:
    best = groups["weights"] if numbers["best_epoch"] == numbers["epoch"] else groups["best"]
    return TrainingState(weights=groups["weights"], momentum=groups["momentum"], best_weights=best, **numbers)
