"""Optimisers: one file per kind.

An optimiser is a function `optimizer(parameters, learning_rate, weight_decay, *, ...)` that returns a
`torch.optim.Optimizer`; its further keywords are keys of the configuration. The loop sets the rate of every epoch (see
`schedules`). What an optimiser keeps of a parameter is a tensor of the parameter's shape, or one without dimensions
that is the same for all parameters, such as a count of steps: only then do trainings resume to the same bits, and
stack.

A new optimiser is one file here, whose function has the file's name, with the constant `BUFFERS`, a literal: how many
tensors of the parameter's shape it keeps.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


def load(kind: str) -> Callable:
    """The function of a kind."""
    return getattr(importlib.import_module(f"{__name__}.{kind}"), kind)


def build(
    options: Mapping, parameters: Iterable[nn.Parameter], *, learning_rate: float, weight_decay: float
) -> Optimizer:
    """The optimiser of the configuration's `options`, its `kind` and the kind's own keywords."""
    keywords = {key: value for key, value in options.items() if key != "kind"}
    return load(options["kind"])(parameters, learning_rate, weight_decay, **keywords)
