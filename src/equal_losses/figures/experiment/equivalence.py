from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D

from equal_losses.figures.experiment import _shared
from equal_losses.running.words import count

_VERDICTS = {
    "equivalent": {"color": "#0072B2", "marker": "o"},
    "different": {"color": "#D55E00", "marker": "X"},
    "undecided": {"color": "#666666", "marker": "o", "markerfacecolor": "white"},
}


def equivalence(equivalence: pd.DataFrame) -> Figure:
    """Differences of test accuracy between losses, mean over the seeds, with the intervals that decide whether a pair
    is equivalent (the whole bar within the grey margin), different or undecided."""
    if equivalence.empty:
        note = "one loss alone: there is no pair to compare"
        return _shared.page(1.51, "", lambda figure: figure.text(0.5, 0.5, note, ha="center", va="center"))
    row = equivalence.iloc[0]
    setting = f"{row['experiment']}: {count(row['seeds'], 'seed')}"
    setting += f", intervals of {1 - 2 * row['equivalence_level']:.1%}, margin ±{100 * row['margin']:g} points"
    pairs = equivalence.groupby(["first_loss", "second_loss"], sort=False).ngroups
    height = 0.9 + equivalence["width"].nunique() * (0.45 + 0.16 * pairs)
    return _shared.page(height, setting, _intervals, equivalence)


def _intervals(figure: FigureBase, equivalence: pd.DataFrame) -> None:
    """One panel per (width, epochs), one row per pair of losses."""
    shape = equivalence["width"].nunique(), equivalence["epochs"].nunique()
    grid = figure.subplots(*shape, squeeze=False, sharex=True, sharey=True)
    for axes, ((width, epochs), cell) in zip(grid.flat, equivalence.groupby(["width", "epochs"]), strict=True):
        margin = 100 * cell["margin"].iloc[0]
        axes.axvspan(-margin, margin, color="#000000", alpha=0.08, linewidth=0)
        axes.axvline(0, color="#000000", linewidth=0.6)
        for place, (_, pair) in enumerate(cell.iterrows()):
            style = _VERDICTS[pair["verdict"]]
            difference = 100 * pair["difference"]
            axes.plot(difference, place, linestyle="none", zorder=3, **style)
            axes.hlines(place, 100 * pair["interval_low"], 100 * pair["interval_high"], color=style["color"])
            if np.isnan(pair["interval_low"]):
                offset = {"textcoords": "offset points", "fontsize": 6}
                axes.annotate("no interval", (difference, place), (5, -2.5), **offset)
        axes.set_title(f"width {width:g}, {count(epochs, 'epoch')}")
        axes.set_yticks(range(len(cell)), cell["first_loss"] + " − " + cell["second_loss"])
        axes.grid(axis="y", visible=False)
        axes.set_ylim(len(cell) - 0.5, -0.5)
    # Intervals of few seeds are wider than anything else: the differences and the margin must stay legible.
    shown = 100 * max(4 * equivalence["margin"].max(), 1.2 * equivalence["difference"].abs().max())
    grid[0, 0].set_xlim(-shown, shown)
    for axes in grid[-1]:
        axes.set_xlabel("difference, points of test accuracy")
    handles = [Line2D([], [], linestyle="none", label=verdict, **style) for verdict, style in _VERDICTS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
