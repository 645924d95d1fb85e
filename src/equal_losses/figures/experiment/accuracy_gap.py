import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _panels, _shared


def accuracy_gap(runs: pd.DataFrame) -> Figure:
    """How far each loss is from the first one: its test accuracy minus that of the first, mean over the seeds."""
    setting = (
        f"{_shared.setting(runs)}, {_shared.seeds(runs['seed'])}: test accuracy minus that of {runs['loss'].iloc[0]}"
    )
    return _shared.page(_panels.heatmaps_height(runs, runs["loss"].nunique() - 1), setting, _panels.gap_heatmaps, runs)
