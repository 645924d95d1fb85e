"""What figures of an experiment have in common: the page, what is said of the runs, axes and heatmaps."""

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.image import AxesImage

from equal_losses.figures import style
from equal_losses.running.words import count

NC1 = {"nc1": "$\\mathcal{NC}_1$: variability collapse"}
AS_IN_THE_PAPER = {**NC1, "nc2": "$\\mathcal{NC}_2$: simplex ETF", "nc3": "$\\mathcal{NC}_3$: self-duality"}


def page(
    height: float, setting: str, draw: Callable[..., None], *arguments: object, legend: dict[str, dict] | None = None
) -> Figure:
    """A figure as wide as a page and `height` inches high: its setting above what `draw(figure, *arguments)` draws.

    Below it is a legend of these styles, for which the figure grows where one row is not enough.
    """
    with mpl.rc_context(style.RC):
        figure = Figure(figsize=(style.PAGE_INCHES, height), layout="constrained")
        figure.suptitle(setting, fontsize=8, wrap=True)
        if legend:
            style.legend(figure, legend)
        draw(figure, *arguments)
        return figure


def setting(table: pd.DataFrame) -> str:
    """What was run, so that no figure can be mistaken for that of another study."""
    row = table.iloc[0]
    return f"{row['experiment']}: {row['network']} on {row['dataset']}"


def setting_of_largest(trajectories: pd.DataFrame) -> str:
    """What was run, with the largest width and budget, where lines over the epochs are drawn."""
    row = largest(trajectories).iloc[0]
    size = f"width {row['width']:g}, {count(row['epochs'], 'epoch')}"
    return f"{setting(trajectories)}, {size}, {seeds(trajectories['seed'], ' (line: mean, band: range)')}"


def seeds(numbers: pd.Series, of_several: str = "") -> str:
    """How many different seeds there are, and if there are several, what is shown of them."""
    different = numbers.nunique()
    return count(different, "seed") + (of_several if different > 1 else "")


def styles(table: pd.DataFrame, **changes: object) -> dict[str, dict]:
    """Colour, line and marker of each loss of a table, with changes for all."""
    return {loss: {**look, **changes} for loss, look in style.loss_styles(dict.fromkeys(table["loss"])).items()}


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the largest width and the largest budget."""
    return table[(table["width"] == table["width"].max()) & (table["epochs"] == table["epochs"].max())]


def accuracy_axis(axes: Axes) -> None:
    """Per cent on the vertical axis, which does not promise more than 100 of them."""
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.6g}%")
    axes.yaxis.set_major_locator(style.few_ticks())
    low, high = axes.get_ylim()
    axes.set_ylim(low, min(high, 1 + 0.05 * (1 - low)))


def epoch_axis(axes: Axes, epochs: pd.Index) -> None:
    """Whole epochs on the horizontal axis, three of them where there are fewer."""
    first, last = epochs.min(), epochs.max()
    if last - first < 2:
        axes.set_xlim(max(first - 1, 0) - 0.1, last + 1.1)
    axes.xaxis.set_major_locator(style.few_ticks(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")


def colorbar(figure: FigureBase, image: AxesImage, panels: np.ndarray, label: str, **options: object) -> None:
    """The scale of heatmaps, right of them unless options of `colorbar` say otherwise."""
    options = {"shrink": 0.9, "pad": 0.01, **options}
    figure.colorbar(image, ax=panels, label=label, ticks=style.few_ticks(), **options)


def panels_of_names(columns: list[str], rows: list[str]) -> tuple[int, float]:
    """How many heatmaps with these names of columns and rows fit beside each other, one or two, and how wide each is,
    in inches."""
    room = style.PAGE_INCHES - 0.2 - style.widest(rows, 7)
    beside = 2 if room / 2 > max(2.2, 0.115 * len(columns)) else 1
    return beside, room / beside


def name_cells(axes: Axes, columns: list[str], rows: list[str]) -> None:
    """Names below and beside the cells of such a heatmap, upright where they need the room."""
    crowded = (style.widest(columns, 7) + 0.1) * len(columns) > panels_of_names(columns, rows)[1]
    axes.set_xticks(range(len(columns)), columns, rotation=90 if crowded else 0)
    axes.set_yticks(range(len(rows)), rows)


def heatmap(axes: Axes, cells: np.ndarray, texts: np.ndarray, **options: object) -> AxesImage:
    """Cells in colour, with options of `imshow`, each with its text, black or white, whichever can be read on it."""
    image = axes.imshow(cells, aspect="auto", **options)
    for (row, column), value in np.ndenumerate(cells):
        red, green, blue, opaque = image.cmap(image.norm(value))
        color = "white" if opaque and 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
        axes.text(
            column, row, texts[row, column].replace("-", "−"), ha="center", va="center", fontsize=6.5, color=color
        )
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return image
