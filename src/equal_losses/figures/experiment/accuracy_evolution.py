from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _panels, _shared


def accuracy_evolution(trajectories: pd.DataFrame) -> Figure:
    """Fig. 2 of the paper: training, validation and test accuracy over the epochs of the largest configuration."""
    setting, styles = _shared.setting_of_largest(trajectories), _shared.styles(trajectories)
    return _shared.page(
        _panels.evolution_height(trajectories), setting, _panels.accuracy_panels, trajectories, legend=styles
    )
