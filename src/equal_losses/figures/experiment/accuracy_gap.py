from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _panels, _shared


def accuracy_gap(runs: pd.DataFrame) -> Figure:
    """How far each loss is from the first one: the mean over seeds of its test accuracy minus the first loss's."""
    setting = f"{_shared.setting(runs)}, {_shared.seeds(runs['seed'])}"
    return _shared.page(_panels.heatmaps_height(runs, runs["loss"].nunique() - 1), setting, _panels.gap_heatmaps, runs)
