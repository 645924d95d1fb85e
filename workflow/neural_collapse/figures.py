"""Figures of an experiment.

A figure is a public function of the tables `runs` and `trajectories` (see `tables`) that returns a Matplotlib figure;
its name is its name in the configuration and of its files. Nothing here reads files or imports PyTorch.
"""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from . import plotstyle


def nc_evolution(runs: pd.DataFrame, trajectories: pd.DataFrame) -> Figure:
    """Fig. 1 of the paper: NC1, NC2 and NC3 over the epochs of the largest configuration, a line a loss."""
    panels = {
        "nc1": "$\\mathcal{NC}_1$: variability collapse",
        "nc2": "$\\mathcal{NC}_2$: simplex ETF",
        "nc3": "$\\mathcal{NC}_3$: self-duality",
    }
    figure, axes = _evolution(trajectories, panels)
    for axis in axes:
        axis.set_yscale("log")
    return figure


def accuracy_evolution(runs: pd.DataFrame, trajectories: pd.DataFrame) -> Figure:
    """Fig. 2 of the paper: training, validation and test accuracy over the epochs of the largest configuration."""
    panels = {
        "accuracy_train": "Training accuracy",
        "accuracy_val": "Validation accuracy",
        "accuracy_test": "Test accuracy",
    }
    figure, axes = _evolution(trajectories[trajectories["epoch"] > 0], panels)
    for axis in axes:
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        axis.sharey(axes[0])
    return figure


def test_accuracy(runs: pd.DataFrame, trajectories: pd.DataFrame) -> Figure:
    """Fig. 3 of the paper: mean test accuracy of the model best on validation data, width x epochs, a panel a loss."""
    losses = list(dict.fromkeys(runs["loss"]))
    grouped = runs.groupby(["loss", "width", "epochs"])["accuracy_test"]
    means, spreads = grouped.mean(), grouped.std()
    widths, epochs = sorted(runs["width"].unique()), sorted(runs["epochs"].unique())
    color_scale = mpl.colors.Normalize(means.min(), means.max())
    with mpl.rc_context({**plotstyle.RC, "axes.grid": False}):
        columns = min(len(losses), 4)
        rows = -(-len(losses) // columns)
        figure, axes = plt.subplots(
            rows, columns, figsize=(plotstyle.PAGE_INCHES, 0.9 + 0.42 * len(widths) * rows), squeeze=False, sharey=True
        )
        for axis in axes.flat[len(losses) :]:
            axis.set_axis_off()
        for axis, loss in zip(axes.flat, losses, strict=False):
            cells = np.array([[means[loss, width, budget] for budget in epochs] for width in widths])
            image = axis.imshow(cells, norm=color_scale, cmap="cividis", origin="lower", aspect="auto")
            for row, width in enumerate(widths):
                for column, budget in enumerate(epochs):
                    dark = color_scale(cells[row, column]) < 0.55
                    spread = spreads[loss, width, budget]
                    label = f"{cells[row, column]:.2%}".rstrip("%")
                    label += "" if np.isnan(spread) else f"\n±{100 * spread:.2f}"
                    axis.text(
                        column, row, label, ha="center", va="center", fontsize=6.5, color="white" if dark else "black"
                    )
            axis.set_title(loss)
            axis.set_xticks(range(len(epochs)), [f"{budget}" for budget in epochs])
            axis.set_yticks(range(len(widths)), [f"{width:g}" for width in widths])
            axis.set_xlabel("epochs")
            axis.spines[:].set_visible(False)
            axis.tick_params(length=0)
        for axis in axes[:, 0]:
            axis.set_ylabel("width")
        bar = figure.colorbar(image, ax=axes, shrink=0.9, pad=0.01)
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
        bar.set_label("test accuracy")
        figure.suptitle(
            f"{_setting(runs)}, {_count(runs['seed'].nunique(), 'seed')}, mean ± standard deviation", fontsize=8
        )
    return figure


def _evolution(trajectories: pd.DataFrame, panels: dict[str, str]) -> tuple[Figure, list[Axes]]:
    """A panel a column; a line a loss, the mean over seeds, and a band from the smallest to the largest seed."""
    width, epochs = trajectories["width"].max(), trajectories["epochs"].max()
    largest = trajectories[(trajectories["width"] == width) & (trajectories["epochs"] == epochs)]
    styles = plotstyle.loss_styles(dict.fromkeys(trajectories["loss"]))
    with mpl.rc_context(plotstyle.RC):
        figure, axes = plt.subplots(1, len(panels), figsize=(plotstyle.PAGE_INCHES, 2.3))
        for axis, (column, title) in zip(axes, panels.items(), strict=True):
            for loss, style in styles.items():
                values = largest[largest["loss"] == loss].groupby("epoch")[column]
                mean = values.mean()
                axis.plot(mean.index, mean, label=loss, **style)
                axis.fill_between(mean.index, values.min(), values.max(), color=style["color"], alpha=0.18, linewidth=0)
            axis.set_title(title)
            axis.set_xlabel("epoch")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        figure.suptitle(
            f"{_setting(largest)}, width {width:g}, {_count(epochs, 'epoch')}, "
            f"{_count(largest['seed'].nunique(), 'seed')} (line: mean, band: range)",
            fontsize=8,
        )
    return figure, list(axes)


def _setting(table: pd.DataFrame) -> str:
    """What was run, so that no figure can be taken for that of another study."""
    row = table.iloc[0]
    return f"{row['experiment']}: {row['network']} on {row['dataset']}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
