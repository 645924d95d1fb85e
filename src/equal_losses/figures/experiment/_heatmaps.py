"""Test accuracy over width and epochs, one panel per loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import FigureBase

from equal_losses.figures.experiment import _panels


def over_seeds(runs: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Mean and standard deviation of the test accuracy by (loss, width, epochs), losses in the order of the study."""
    grouped = runs.groupby(["loss", "width", "epochs"], sort=False)["accuracy_test"]
    return grouped.mean(), grouped.std()


def gaps(runs: pd.DataFrame) -> pd.Series:
    """Mean test accuracy of each loss but the first, minus that of the first, by (loss, width, epochs)."""
    means, _ = over_seeds(runs)
    reference, *others = dict.fromkeys(runs["loss"])
    differences = {
        point: value - means[(reference, *point[1:])] for point, value in means.items() if point[0] in others
    }
    return pd.Series(differences, dtype=float)


def height(runs: pd.DataFrame, values: pd.Series) -> float:
    """Inches that the panels of `values`, by (loss, width, epochs), need."""
    losses = values.index.get_level_values(0).nunique() if len(values) else 1
    return 0.9 + (0.2 + 0.34 * runs["width"].nunique()) * -(-losses // 4)


def accuracy_heatmaps(figure: FigureBase, means: pd.Series, spreads: pd.Series) -> None:
    """One panel per loss on one colour scale; each cell has its mean and standard deviation in per cent."""
    colors = Normalize(100 * means.min(), 100 * means.max())

    def text(point: tuple) -> str:
        spread = spreads[point]
        return f"{100 * means[point]:.2f}" + ("" if np.isnan(spread) else f"\n±{100 * spread:.2f}")

    _grid(figure, 100 * means, colors, "cividis", text, "test accuracy, %")


def gap_heatmaps(figure: FigureBase, runs: pd.DataFrame, differences: pd.Series) -> None:
    """One panel per loss but the first, on one colour scale that is white where there is no difference."""
    if differences.empty:
        figure.text(0.5, 0.5, "one loss alone: there is no difference to show", ha="center", va="center")
        return
    limit = max(100 * differences.abs().max(), 1e-9)
    label = f"loss − {runs['loss'].iloc[0]}, points"
    _grid(
        figure,
        100 * differences,
        Normalize(-limit, limit),
        "PuOr",
        lambda point: f"{100 * differences[point]:+.2f}",
        label,
    )


def _grid(
    figure: FigureBase, values: pd.Series, colors: Normalize, colormap: str, text: Callable[[tuple], str], label: str
) -> None:
    losses, widths, epochs = (list(dict.fromkeys(values.index.get_level_values(level))) for level in range(3))
    widths, epochs = sorted(widths), sorted(epochs)
    columns = min(len(losses), 4)
    grid = figure.subplots(-(-len(losses) // columns), columns, squeeze=False)
    for axes in grid.flat[len(losses) :]:
        axes.set_axis_off()
    for axes, loss in zip(grid.flat, losses, strict=False):
        cells = np.array([[values[loss, width, budget] for budget in epochs] for width in widths])
        image = axes.imshow(cells, norm=colors, cmap=colormap, origin="lower", aspect="auto")
        for row, width in enumerate(widths):
            for column, budget in enumerate(epochs):
                color = _panels.readable_on(image, cells[row, column])
                point = (loss, width, budget)
                axes.text(column, row, text(point), ha="center", va="center", fontsize=6.5, color=color)
        axes.grid(False)
        axes.set_title(loss)
        axes.set_xticks(range(len(epochs)), [f"{budget}" for budget in epochs])
        axes.set_yticks(range(len(widths)), [f"{width:g}" for width in widths])
        axes.set_xlabel("epochs")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    for axes in grid[:, 0]:
        axes.set_ylabel("width")
    figure.colorbar(image, ax=grid, shrink=0.9, pad=0.01, label=label)
