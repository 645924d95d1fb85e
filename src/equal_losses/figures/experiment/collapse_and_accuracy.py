from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import PercentFormatter

from equal_losses.figures.experiment import _shared
from equal_losses.figures.style import loss_styles

# What is said of the columns that the table `correlation` holds constant.
_HELD = {"all runs": "nothing", "at equal width, epochs": "width, epochs", "and equal loss": "width, epochs, loss"}


def collapse_and_accuracy(runs: pd.DataFrame, correlation: pd.DataFrame) -> Figure:
    """Test accuracy of every run against its collapse, with rank correlations: of all runs as they are, and with width,
    epochs and loss held constant. Below zero means: the more collapsed, the more accurate."""
    setting = f"{_shared.setting(runs)}, every run at its last epoch (larger marker: wider network)"
    return _shared.page(2.9, setting, _scatter, runs, correlation)


def _scatter(figure: FigureBase, runs: pd.DataFrame, correlation: pd.DataFrame) -> None:
    row = figure.subplots(1, 3, sharey=True)
    styles = loss_styles(dict.fromkeys(runs["loss"]))
    sizes = {width: 2.5 + 1.5 * rank for rank, width in enumerate(sorted(runs["width"].unique()))}
    for axes, (metric, title) in zip(row, _shared.AS_IN_THE_PAPER.items(), strict=True):
        for (loss, width), group in runs.groupby(["loss", "width"], sort=False):
            style = {**styles[loss], "linestyle": "none", "alpha": 0.7, "markersize": sizes[width]}
            label = loss if width == max(sizes) else None
            axes.plot(group[metric], group["final_accuracy_test"], label=label, **style)
        lines = [f"{name}: {_numbers(correlation, metric, held)}" for name, held in _HELD.items()]
        axes.set_title(title)
        axes.set_xscale("log")
        _shared.few_ticks(axes.xaxis, *axes.get_xlim(), crowded=30)
        axes.set_xlabel("\n".join(["← more collapsed", "rank correlation", *lines]), fontsize=6.5, loc="left")
    row[0].set_ylabel("test accuracy")
    row[0].yaxis.set_major_formatter(PercentFormatter(1))
    _shared.legend(figure, row[0])


def _numbers(correlation: pd.DataFrame, metric: str, held: str) -> str:
    row = correlation[(correlation["metric"] == metric) & (correlation["held"] == held)].iloc[0]
    if np.isnan(row["correlation"]):
        return "no variation"
    return f"{row['correlation']:+.2f} [{row['interval_low']:+.2f}, {row['interval_high']:+.2f}]"
