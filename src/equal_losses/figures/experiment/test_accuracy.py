import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _panels, _shared


def test_accuracy(runs: pd.DataFrame) -> Figure:
    """Fig. 3 of the paper: mean test accuracy of the model best on validation data, width × epochs, one panel per
    loss."""
    setting = f"{_shared.setting(runs)}, {_shared.seeds(runs['seed'], ' (mean ± standard deviation)')}"
    return _shared.page(_panels.heatmaps_height(runs, runs["loss"].nunique()), setting, _panels.accuracy_heatmaps, runs)
