"""Panels that are a figure of their own and a part of the overview."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import FigureBase
from matplotlib.ticker import PercentFormatter

from equal_losses.figures.experiment import _shared
from equal_losses.figures.style import loss_styles

_ACCURACIES = {
    "accuracy_train": "Training accuracy",
    "accuracy_val": "Validation accuracy",
    "accuracy_test": "Test accuracy",
}
_COLUMNS = 4  # heatmaps beside each other


def metric_panels(figure: FigureBase, trajectories: pd.DataFrame, panels: Mapping[str, str]) -> None:
    """Metrics on logarithmic axes; `panels` has the title of each column."""
    for axes in _evolution(figure, trajectories, panels):
        axes.set_yscale("log")
        _shared.few_ticks(axes.yaxis, *axes.get_ylim(), crowded=200)


def accuracy_panels(figure: FigureBase, trajectories: pd.DataFrame) -> None:
    """Training, validation and test accuracy on one scale, without the untrained network."""
    row = _evolution(figure, trajectories[trajectories["epoch"] > 0], _ACCURACIES)
    for axes in row:
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.sharey(row[0])


def _evolution(figure: FigureBase, trajectories: pd.DataFrame, panels: Mapping[str, str]) -> list[Axes]:
    """Of the largest configuration one panel per column and one line per loss: the mean and the range over seeds."""
    seeds = _shared.largest(trajectories).groupby(["loss", "epoch"])[[*panels]]
    means, lowest, highest = seeds.mean(), seeds.min(), seeds.max()
    styles = loss_styles(dict.fromkeys(trajectories["loss"]))
    row = figure.subplots(1, len(panels))
    for axes, (column, title) in zip(row, panels.items(), strict=True):
        for loss, style in styles.items():
            mean, low, high = (table[column][loss] for table in (means, lowest, highest))
            axes.plot(mean.index, mean, label=loss, **style)
            axes.fill_between(mean.index, low, high, color=style["color"], alpha=0.18, linewidth=0)
        axes.set_title(title)
        axes.set_xlabel("epoch")
    _shared.legend(figure, row[0])
    return list(row)


def heatmaps_height(runs: pd.DataFrame, panels: int) -> float:
    """Inches that heatmaps need."""
    return 0.9 + (0.2 + 0.34 * runs["width"].nunique()) * max(1, -(-panels // _COLUMNS))


def accuracy_heatmaps(figure: FigureBase, runs: pd.DataFrame) -> None:
    """One panel per loss on one colour scale; each cell has its mean and standard deviation in per cent."""
    means, spreads = 100 * _by_size(runs).mean(), 100 * _by_size(runs).std()
    texts = means.map("{:.2f}".format) + spreads.map("\n±{:.2f}".format).where(spreads.notna(), "")
    _heatmaps(figure, means, texts, Normalize(means.min(), means.max()), "cividis", "test accuracy, %")


def gap_heatmaps(figure: FigureBase, runs: pd.DataFrame) -> None:
    """One panel per loss but the first, on one colour scale that is white where there is no difference."""
    means = _by_size(runs).mean()
    reference = runs["loss"].iloc[0]
    others = means.drop(reference, level="loss")
    if others.empty:
        figure.text(0.5, 0.5, "one loss alone: there is no difference to show", ha="center", va="center")
        return
    gaps = 100 * (others - means[reference][others.index.droplevel("loss")].to_numpy())
    limit = max(gaps.abs().max(), 1e-9)
    texts = gaps.map("{:+.2f}".format)
    _heatmaps(figure, gaps, texts, Normalize(-limit, limit), "PuOr", f"loss − {reference}, points")


def _by_size(runs: pd.DataFrame) -> pd.api.typing.SeriesGroupBy:
    """Test accuracies by (loss, width, epochs), losses in the order of the study."""
    return runs.groupby(["loss", "width", "epochs"], sort=False)["accuracy_test"]


def _heatmaps(
    figure: FigureBase, values: pd.Series, texts: pd.Series, colors: Normalize, colormap: str, label: str
) -> None:
    losses = list(dict.fromkeys(values.index.get_level_values("loss")))
    columns = min(len(losses), _COLUMNS)
    grid = figure.subplots(-(-len(losses) // columns), columns, squeeze=False)
    for axes in grid.flat[len(losses) :]:
        axes.set_axis_off()
    for axes, loss in zip(grid.flat, losses, strict=False):
        cells = values[loss].unstack()  # widths x epochs, both ascending
        written = texts[loss].unstack().to_numpy()
        image = _shared.heatmap(axes, cells.to_numpy(), written, norm=colors, cmap=colormap, origin="lower")
        axes.set_title(loss)
        axes.set_xticks(range(cells.shape[1]), [f"{budget}" for budget in cells.columns])
        axes.set_yticks(range(cells.shape[0]), [f"{width:g}" for width in cells.index])
        axes.set_xlabel("epochs")
    for axes in grid[:, 0]:
        axes.set_ylabel("width")
    figure.colorbar(image, ax=grid, shrink=0.9, pad=0.01, label=label)


def seed_panels(figure: FigureBase, runs: pd.DataFrame) -> None:
    """Test accuracies, one panel per width; at each budget one column of runs per loss."""
    widths, epochs = sorted(runs["width"].unique()), sorted(runs["epochs"].unique())
    styles = loss_styles(dict.fromkeys(runs["loss"]))
    row = figure.subplots(1, len(widths), squeeze=False, sharey=True)[0]
    step = 0.8 / len(styles)
    for axes, width in zip(row, widths, strict=True):
        for index, (loss, style) in enumerate(styles.items()):
            chosen = runs[(runs["width"] == width) & (runs["loss"] == loss)]
            places = chosen["epochs"].map(epochs.index) + (index - (len(styles) - 1) / 2) * step
            axes.plot(places, chosen["accuracy_test"], label=loss, **{**style, "linestyle": "none", "alpha": 0.8})
            means = chosen["accuracy_test"].groupby(places).mean()
            ends = means.index - 0.4 * step, means.index + 0.4 * step
            axes.hlines(means, *ends, color=style["color"], linewidth=1.5)
        axes.set_title(f"width {width:g}")
        axes.set_xticks(range(len(epochs)), [f"{budget}" for budget in epochs])
        axes.set_xlabel("epochs")
        axes.grid(axis="x", visible=False)
    row[0].set_ylabel("test accuracy")
    row[0].yaxis.set_major_formatter(PercentFormatter(1))
    _shared.legend(figure, row[0])
