from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure, FigureBase

from equal_losses.figures.experiment import _panels, _shared


def overview(runs: pd.DataFrame, trajectories: pd.DataFrame) -> Figure:
    """Everything on one page: collapse and accuracy over the epochs, test accuracy at every width and budget, how far
    the losses are apart, and every run."""
    losses = runs["loss"].nunique()
    heights = [2.1, 2.1, _panels.heatmaps_height(runs, losses), _panels.heatmaps_height(runs, losses - 1), 2.2]
    parts = {
        "a  Neural collapse on training data": (_panels.metric_panels, trajectories, _shared.AS_IN_THE_PAPER),
        "b  Accuracy": (_panels.accuracy_panels, trajectories),
        "c  Test accuracy, %": (_panels.accuracy_heatmaps, runs),
        "d  Difference of test accuracy": (_panels.gap_heatmaps, runs),
        "e  Every run": (_panels.seed_panels, runs),
    }

    def draw(figure: FigureBase) -> None:
        rows = figure.subfigures(len(parts), 1, height_ratios=heights)
        for row, (title, (panels, *arguments)) in zip(rows, parts.items(), strict=True):
            row.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
            panels(row, *arguments)

    return _shared.page(sum(heights), f"{_shared.setting_of_largest(trajectories)} in a and b", draw)
