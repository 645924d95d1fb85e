"""What panels of several figures have in common."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure, FigureBase
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, NullLocator

from equal_losses.figures import style


def page(height: float, setting: str, draw: Callable[[FigureBase], None]) -> Figure:
    """A figure as wide as a page and `height` inches high, with its setting above what `draw` draws."""
    with mpl.rc_context(style.RC):
        figure = Figure(figsize=(style.PAGE_INCHES, height), layout="constrained")
        figure.suptitle(setting, fontsize=8)
        draw(figure)
        return figure


def legend(figure: FigureBase, axes: Axes) -> None:
    """One legend below all panels, with the labels of one of them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), handlelength=4)


def few_ticks(axis: Axis, low: float, high: float, *, crowded: float) -> None:
    """Plain numbers on a logarithmic axis; only powers of ten where `high` is more than `crowded` times `low`."""
    axis.set_major_locator(LogLocator(subs=(1,) if high > crowded * low else (1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def readable_on(image: AxesImage, value: float) -> str:
    """Black or white, whichever can be read on the colour that an image gives to a value."""
    red, green, blue, _ = image.cmap(image.norm(value))
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
