"""Figures of the theory, one file per figure.

A figure is a public function of its file's name that returns a Matplotlib figure. The first paragraph of its docstring
is its caption, in reStructuredText, and its parameters name the tables that it is drawn from: those of the steps (see
`theory.steps`) and `closed_forms` (see `theory.tables`). Lines are theory, marks are computed, unless the caption says
otherwise. Nothing here reads files.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from matplotlib.figure import Figure


def load(kind: str) -> Callable[..., Figure]:
    """The function that draws the figure called `kind`."""
    return getattr(importlib.import_module(f"{__name__}.{kind}"), kind)
