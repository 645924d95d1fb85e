"""What figures of the theory have in common."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

GREY = "0.45"


def loss_legend(figure: Figure, axis: Axes, styles: dict | None = None) -> None:
    """One legend above all panels: the labels of `axis`, or a line with its mark for each of the styles."""
    if styles is None:
        handles, labels = axis.get_legend_handles_labels()
    else:
        handles = [Line2D([], [], **{**style, **mark(style)}) for style in styles.values()]
        labels = list(styles)
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), handlelength=2.4, columnspacing=1.2)


def line(style: dict) -> dict:
    """A line without marks."""
    return {"color": style["color"], "linestyle": style["linestyle"]}


def mark(style: dict) -> dict:
    """A hollow mark, under which a line can be seen."""
    return {"color": style["color"], "marker": style["marker"], "markerfacecolor": "none", "markeredgewidth": 0.8}


def sparse_log_ticks(axis: Axes, which: str = "both") -> None:
    """At most about five labelled powers of ten on the logarithmic axes "x", "y" or "both", and no minor ticks."""
    for name in ("x", "y") if which == "both" else (which,):
        part = getattr(axis, f"{name}axis")
        part.set_major_locator(LogLocator(numticks=5))
        part.set_minor_locator(NullLocator())
        part.set_minor_formatter(NullFormatter())
