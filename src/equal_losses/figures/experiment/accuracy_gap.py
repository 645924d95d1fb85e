"""Differences of test accuracy from the first loss."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _heatmaps, _panels, _words


def accuracy_gap(runs: pd.DataFrame) -> Figure:
    """How far each loss is from the first one: the mean over seeds of its test accuracy minus the first loss's."""
    gaps = _heatmaps.gaps(runs)
    return _panels.page(
        _heatmaps.height(runs, gaps),
        f"{_words.setting(runs)}, {_words.seeds(runs['seed'])}",
        lambda figure: _heatmaps.gap_heatmaps(figure, runs, gaps),
    )
