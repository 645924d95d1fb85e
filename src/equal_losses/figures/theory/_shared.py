"""What figures of the theory have in common."""

from __future__ import annotations

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

GREY = "0.45"


def loss_legend(figure: Figure, styles: dict[str, dict]) -> None:
    """One legend above all panels: a line with its mark for each loss."""
    handles = [Line2D([], [], **{**style, **mark(style)}) for style in styles.values()]
    figure.legend(handles, styles, loc="outside upper center", ncols=len(styles), handlelength=2.4, columnspacing=1.2)


def line(style: dict) -> dict:
    """A line without marks."""
    return {"color": style["color"], "linestyle": style["linestyle"]}


def mark(style: dict) -> dict:
    """A hollow mark, under which a line can be seen."""
    return {"color": style["color"], "marker": style["marker"], "markerfacecolor": "none", "markeredgewidth": 0.8}


def sparse_log_ticks(*axes: Axis) -> None:
    """At most about five labelled powers of ten on each of these logarithmic axes, and no minor ticks."""
    for axis in axes:
        axis.set_major_locator(LogLocator(numticks=5))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
