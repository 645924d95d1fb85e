import pandas as pd
from matplotlib.figure import Figure, FigureBase

from equal_losses.figures.experiment import _panels, _shared


def overview(runs: pd.DataFrame, trajectories: pd.DataFrame) -> Figure:
    """Everything on one page: collapse and accuracy over the epochs, test accuracy at every width and budget, how far
    the losses are apart, and every run."""
    losses = runs["loss"].nunique()
    heights = 2 * [_panels.evolution_height(trajectories)]
    heights += [
        _panels.heatmaps_height(runs, losses),
        _panels.heatmaps_height(runs, losses - 1),
        0.6 + 1.6 * _panels.seed_rows(runs),
    ]
    parts = {
        "a  Neural collapse on training data": (_panels.metric_panels, trajectories, _shared.AS_IN_THE_PAPER),
        "b  Accuracy": (_panels.accuracy_panels, trajectories),
        "c  Test accuracy, %": (_panels.accuracy_heatmaps, runs),
        f"d  Test accuracy minus that of {runs['loss'].iloc[0]}": (_panels.gap_heatmaps, runs),
        "e  Every run": (_panels.seed_panels, runs),
    }

    def draw(figure: FigureBase) -> None:
        rows = figure.subfigures(len(parts), 1, height_ratios=heights)
        for row, (title, (panels, *arguments)) in zip(rows, parts.items(), strict=True):
            row.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold", wrap=True)
            panels(row, *arguments)

    setting = f"{_shared.setting_of_largest(trajectories)} in a and b"
    return _shared.page(sum(heights) + 0.3, setting, draw, legend=_shared.styles(runs))
