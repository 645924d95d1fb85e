"""Test accuracy of every run."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import FigureBase
from matplotlib.ticker import PercentFormatter

from equal_losses.figures.experiment import _panels
from equal_losses.figures.style import loss_styles


def seed_panels(figure: FigureBase, runs: pd.DataFrame) -> None:
    """One panel per width; at each budget one column of runs per loss."""
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
    _panels.legend(figure, row[0])
