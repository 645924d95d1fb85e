"""Fig. 2 of the paper."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _evolution, _panels, _words


def accuracy_evolution(trajectories: pd.DataFrame) -> Figure:
    """Fig. 2 of the paper: training, validation and test accuracy over the epochs of the largest configuration."""
    return _panels.page(
        2.3,
        _words.setting_of_largest(trajectories),
        lambda figure: _evolution.accuracy_panels(figure, trajectories),
    )
