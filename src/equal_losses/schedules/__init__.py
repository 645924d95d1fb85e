"""Schedules of the learning rate: one file per kind, apart from everything that trains.

A schedule is a function `schedule(epoch, epochs, *, ...)` that returns the share of `training.learning_rate` at which
the epoch after `epoch` completed ones is trained, in a budget of `epochs`; its further keywords are keys of the
configuration. `training` follows it, and `study` cuts shared trunks by it.

A new schedule is one file here, whose function has the file's name. Its optional function `first_decay`, of the budget
and the same keywords, is the number of epochs to which the rate is what it is in every longer budget; without it
budgets share no trunk.
"""

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType


def load(kind: str) -> Callable:
    """The function of a kind."""
    return getattr(_module(kind), kind)


def learning_rate(epoch: int, epochs: int, training: Mapping) -> float:
    """Learning rate of the epoch that follows `epoch` completed ones."""
    options = dict(training["schedule"])
    kind = options.pop("kind")
    return training["learning_rate"] * load(kind)(epoch, epochs, **options)


def first_decay(epochs: int, training: Mapping) -> int:
    """Epochs completed before the rate depends on the budget, 0 where it does from the first on."""
    options = dict(training["schedule"])
    first = getattr(_module(options.pop("kind")), "first_decay", None)
    return first(epochs, **options) if first else 0


def _module(kind: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{kind}")
