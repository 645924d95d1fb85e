"""Everything on one page."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure, FigureBase

from equal_losses.figures.experiment import _evolution, _heatmaps, _panels, _seeds, _words


def overview(runs: pd.DataFrame, trajectories: pd.DataFrame) -> Figure:
    """Everything on one page: collapse and accuracy over the epochs, test accuracy at every width and budget, how far
    the losses are apart, and every run."""
    means, spreads = _heatmaps.over_seeds(runs)
    gaps = _heatmaps.gaps(runs)
    parts = {
        "a  Neural collapse on training data": (
            2.1,
            lambda part: _evolution.metric_panels(part, trajectories, _words.AS_IN_THE_PAPER),
        ),
        "b  Accuracy": (2.1, lambda part: _evolution.accuracy_panels(part, trajectories)),
        "c  Test accuracy, %": (
            _heatmaps.height(runs, means),
            lambda part: _heatmaps.accuracy_heatmaps(part, means, spreads),
        ),
        "d  Difference of test accuracy": (
            _heatmaps.height(runs, gaps),
            lambda part: _heatmaps.gap_heatmaps(part, runs, gaps),
        ),
        "e  Every run": (2.2, lambda part: _seeds.seed_panels(part, runs)),
    }
    heights = [height for height, _ in parts.values()]

    def draw(figure: FigureBase) -> None:
        rows = figure.subfigures(len(parts), 1, height_ratios=heights)
        for row, (title, (_, panels)) in zip(rows, parts.items(), strict=True):
            row.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
            panels(row)

    return _panels.page(sum(heights), f"{_words.setting_of_largest(trajectories)} in a and b", draw)
