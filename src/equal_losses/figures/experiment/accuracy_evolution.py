import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _panels


def accuracy_evolution(trajectories: pd.DataFrame) -> Figure:
    """Fig. 2 of the paper: training, validation and test accuracy over the epochs of the largest configuration."""
    return _panels.evolution(trajectories, _panels.accuracy_panels)
