"""The training of several runs as one, as a job; see `job`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from equal_losses.datasets.prepared import PreparedDataset
from equal_losses.running.shell import Task
from equal_losses.training.job import STATE, Files, trained, write_run
from equal_losses.training.together import StackState, train_together


def train_stack(task: Task, dataset: PreparedDataset, trunk: Files | None, compute: Mapping) -> None:
    """Train several runs to their end.

    Args:
        task: its settings are `members` (settings of runs, by the names of their folders) and `snapshot_epochs`.

    Everything else is as in `job.train_run`.
    """
    members = task.settings["members"]
    epochs = next(iter(members.values()))["epochs"]
    train = partial(train_together, members, dataset)
    with trained(task, train, StackState.load, members, dataset, trunk, epochs, epochs, compute) as state:
        written = []
        for (name, settings), own in zip(members.items(), state.members, strict=True):
            place, size = task.folder / name, len(members)
            written += write_run(place, own, settings, dataset, key=task.key, trained_together=size, compute=compute)
        task.seal(*written)


def train_stack_trunk(task: Task, dataset: PreparedDataset, trunk: Files | None, compute: Mapping) -> None:
    """Train what stacks of several budgets share, to epoch `to`; arguments as in `train_stack`."""
    members, to = task.settings["members"], task.settings["to"]
    epochs = next(iter(members.values()))["epochs"]
    train = partial(train_together, members, dataset)
    with trained(task, train, StackState.load, members, dataset, trunk, to, epochs, compute) as state:
        state.save(task.folder / STATE)
        task.seal()
