import numpy as np
import pandas as pd
from matplotlib.figure import Figure, FigureBase

from equal_losses.figures.experiment import _shared
from equal_losses.figures.style import log_ticks

# What is said of the columns that the table `correlation` holds constant.
_HELD = {"all runs": "nothing", "equal size": "width, epochs", "equal size, loss": "width, epochs, loss"}


def collapse_and_accuracy(runs: pd.DataFrame, correlation: pd.DataFrame) -> Figure:
    """Test accuracy of every run against its collapse, with rank correlations and their intervals: of all runs as they
    are, and with the size (width and epochs) or size and loss held constant. Below zero means: the more collapsed, the
    more accurate."""
    setting = f"{_shared.setting(runs)}, every run at its last epoch (larger marker: wider network)"
    styles = _shared.styles(runs, linestyle="none", alpha=0.7)
    return _shared.page(2.9, setting, _scatter, runs, correlation, styles, legend=styles)


def _scatter(figure: FigureBase, runs: pd.DataFrame, correlation: pd.DataFrame, styles: dict[str, dict]) -> None:
    row = figure.subplots(1, 3, sharey=True)
    sizes = {width: 2.5 + 1.5 * rank for rank, width in enumerate(sorted(runs["width"].unique()))}
    for axes, (metric, title) in zip(row, _shared.AS_IN_THE_PAPER.items(), strict=True):
        for (loss, width), group in runs.groupby(["loss", "width"], sort=False):
            axes.plot(group[metric], group["final_accuracy_test"], markersize=sizes[width], **styles[loss])
        lines = [f"{name}: {_numbers(correlation, metric, held)}" for name, held in _HELD.items()]
        axes.set_title(title)
        axes.set_xscale("log")
        log_ticks(axes.xaxis)
        axes.set_xlabel("\n".join(["← more collapsed", "rank correlation", *lines]), fontsize=6.5, loc="left")
    row[0].set_ylabel("test accuracy")
    _shared.accuracy_axis(row[0])


def _numbers(correlation: pd.DataFrame, metric: str, held: str) -> str:
    row = correlation[(correlation["metric"] == metric) & (correlation["held"] == held)].iloc[0]
    if np.isnan(row["correlation"]):
        return "no variation"
    numbers = f"{row['correlation']:+.2f} [{row['interval_low']:+.2f}, {row['interval_high']:+.2f}]"
    return numbers.replace("-", "−")
