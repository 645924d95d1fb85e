"""What figures of an experiment have in common: the page, what is said of the runs, legends, ticks and heatmaps."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure, FigureBase
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, NullLocator

from equal_losses.figures import style
from equal_losses.running.words import count

NC1 = {"nc1": "$\\mathcal{NC}_1$: variability collapse"}
AS_IN_THE_PAPER = {**NC1, "nc2": "$\\mathcal{NC}_2$: simplex ETF", "nc3": "$\\mathcal{NC}_3$: self-duality"}


def page(height: float, setting: str, draw: Callable[..., None], *arguments: object) -> Figure:
    """A figure as wide as a page and `height` inches high: its setting above what `draw(figure, *arguments)` draws."""
    with mpl.rc_context(style.RC):
        figure = Figure(figsize=(style.PAGE_INCHES, height), layout="constrained")
        figure.suptitle(setting, fontsize=8)
        draw(figure, *arguments)
        return figure


def setting(table: pd.DataFrame) -> str:
    """What was run, so that no figure can be mistaken for that of another study."""
    row = table.iloc[0]
    return f"{row['experiment']}: {row['network']} on {row['dataset']}"


def setting_of_largest(trajectories: pd.DataFrame) -> str:
    """What was run, with the largest width and budget, where lines over the epochs are drawn."""
    row = largest(trajectories).iloc[0]
    size = f"width {row['width']:g}, {count(row['epochs'], 'epoch')}, {seeds(trajectories['seed'])}"
    return f"{setting(trajectories)}, {size} (line: mean, band: range)"


def seeds(numbers: pd.Series) -> str:
    """How many different seeds there are."""
    return count(numbers.nunique(), "seed")


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the largest width and the largest budget."""
    return table[(table["width"] == table["width"].max()) & (table["epochs"] == table["epochs"].max())]


def legend(figure: FigureBase, axes: Axes) -> None:
    """One legend below all panels, with the labels of one of them."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), handlelength=4)


def few_ticks(axis: Axis, low: float, high: float, *, crowded: float) -> None:
    """Plain numbers on a logarithmic axis; only powers of ten where `high` is more than `crowded` times `low`."""
    axis.set_major_locator(LogLocator(subs=(1,) if high > crowded * low else (1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def heatmap(axes: Axes, cells: np.ndarray, texts: np.ndarray, **options: object) -> AxesImage:
    """Cells in colour, with options of `imshow`, each with its text, black or white, whichever can be read on it."""
    image = axes.imshow(cells, aspect="auto", **options)
    for (row, column), value in np.ndenumerate(cells):
        red, green, blue, opaque = image.cmap(image.norm(value))
        color = "white" if opaque and 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
        axes.text(column, row, texts[row, column], ha="center", va="center", fontsize=6.5, color=color)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return image
