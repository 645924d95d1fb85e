"""Panels of metrics and accuracies over the epochs of the largest configuration."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import PercentFormatter

from equal_losses.figures.experiment import _panels, _words
from equal_losses.figures.style import loss_styles

_ACCURACIES = {
    "accuracy_train": "Training accuracy",
    "accuracy_val": "Validation accuracy",
    "accuracy_test": "Test accuracy",
}


def metric_panels(figure: FigureBase, trajectories: pd.DataFrame, panels: Mapping[str, str]) -> None:
    """Metrics on logarithmic axes; `panels` has the title of each column."""
    for axes in _evolution(figure, trajectories, panels):
        axes.set_yscale("log")
        _panels.few_ticks(axes.yaxis, *axes.get_ylim(), crowded=200)


def accuracy_panels(figure: FigureBase, trajectories: pd.DataFrame) -> None:
    """Training, validation and test accuracy on one scale, without the untrained network."""
    row = _evolution(figure, trajectories[trajectories["epoch"] > 0], _ACCURACIES)
    for axes in row:
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.sharey(row[0])


def _evolution(figure: FigureBase, trajectories: pd.DataFrame, panels: Mapping[str, str]) -> list[Axes]:
    """One panel per column; one line per loss, the mean over seeds, and a band from the lowest to the highest seed."""
    seeds = _words.largest(trajectories).groupby(["loss", "epoch"])[[*panels]]
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
    _panels.legend(figure, row[0])
    return list(row)
