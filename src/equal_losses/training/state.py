"""What a training goes on from, in memory and on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from equal_losses.running import weights
from equal_losses.running.errors import InputError


@dataclass
class TrainingState:
    """Everything that the training of a network goes on from.

    Attributes:
        epoch: epochs completed.
        weights: parameters and buffers by name.
        optimizer: what the optimiser keeps (see `loop.optimizer_tensors`); empty before the first step.
        best_weights: weights of the epoch with the best validation accuracy; ties go to the earliest.
        best_epoch, best_val_accuracy: that epoch (completed) and its validation accuracy in 0..1.
        history: one row per epoch; see `loop.train`.
    """

    epoch: int
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    best_val_accuracy: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)

    def after(self, weights: dict[str, Tensor], optimizer: dict[str, Tensor], row: dict[str, float]) -> TrainingState:
        """The state one epoch later, whose row of the history is `row`."""
        best = (self.best_weights, self.best_epoch, self.best_val_accuracy)
        if row["val_accuracy"] > self.best_val_accuracy:
            best = (weights, self.epoch + 1, row["val_accuracy"])
        return TrainingState(self.epoch + 1, weights, optimizer, *best, [*self.history, row])


def save_states(path: Path, states: Sequence[TrainingState]) -> None:
    """Write the states of networks that are trained as one, or that of a single one, to a safetensors file."""
    tensors, rest = {}, []
    for index, state in enumerate(states):
        numbers = dict(vars(state))
        for group in ("weights", "optimizer", "best_weights"):
            part = numbers.pop(group)
            if group != "best_weights" or state.best_epoch != state.epoch:
                tensors |= {f"{index}/{group}/{name}": tensor for name, tensor in part.items()}
        rest.append(numbers)
    weights.save(path, tensors, {"states": json.dumps(rest)})


def load_states(path: Path) -> list[TrainingState]:
    """Read a file that `save_states` wrote, onto the CPU.

    Raises:
        InputError: where the file is not whole or holds no training states.
    """
    tensors, metadata = weights.load(path)
    if "states" not in metadata:
        raise InputError(f"{path}: no training state; expected the file that a training wrote")
    states = [TrainingState(weights={}, **numbers) for numbers in json.loads(metadata["states"])]
    for name, tensor in tensors.items():
        index, group, rest = name.split("/", 2)
        # Copied, because what is read is mapped, and NFS does not remove a folder of which a file is in use.
        getattr(states[int(index)], group)[rest] = tensor.clone()
    for state in states:
        if state.best_epoch == state.epoch:
            state.best_weights = state.weights
    return states
