from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _panels, _shared


def nc_evolution(trajectories: pd.DataFrame) -> Figure:
    """Fig. 1 of the paper: NC1, NC2 and NC3 over the epochs of the largest configuration, one line per loss."""
    setting = _shared.setting_of_largest(trajectories)
    return _shared.page(2.3, setting, _panels.metric_panels, trajectories, _shared.AS_IN_THE_PAPER)
