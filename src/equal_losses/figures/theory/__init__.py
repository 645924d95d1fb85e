"""Figures of the theory, one file per figure.

A figure is a public function of its file's name that returns a Matplotlib figure. The first paragraph of its docstring
is its caption, in reStructuredText, and its parameters name the tables that it is drawn from (see `theory.steps`).
Lines are theory, marks are computed, unless the caption says otherwise. Nothing here reads files.
"""

import importlib
from collections.abc import Callable

import matplotlib as mpl
from matplotlib.figure import Figure

from equal_losses.figures.style import RC


def load(kind: str) -> Callable[..., Figure]:
    """The function that draws the figure called `kind`, in the style of all figures."""
    return mpl.rc_context(RC)(getattr(importlib.import_module(f"{__name__}.{kind}"), kind))
