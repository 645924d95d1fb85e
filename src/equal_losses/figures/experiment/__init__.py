"""Figures of an experiment, one file per figure.

A figure is a public function of its file's name that returns a Matplotlib figure. Its name is its name in the
configuration and of its files, the first paragraph of its docstring is its caption, and its parameters name the tables
that it is drawn from: `runs` and `trajectories` (see `statistics.tables`), `alignment` (see `metrics.alignment`),
`equivalence` (see `statistics.equivalence`) and `correlation` (see `statistics.correlation`). Nothing here reads files.
"""

import importlib
from collections.abc import Callable

from matplotlib.figure import Figure


def load(kind: str) -> Callable[..., Figure]:
    """The function that draws the figure called `kind`."""
    return getattr(importlib.import_module(f"{__name__}.{kind}"), kind)
