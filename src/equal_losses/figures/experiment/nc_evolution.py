"""Fig. 1 of the paper."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _evolution, _panels, _words


def nc_evolution(trajectories: pd.DataFrame) -> Figure:
    """Fig. 1 of the paper: NC1, NC2 and NC3 over the epochs of the largest configuration, one line per loss."""
    return _panels.page(
        2.3,
        _words.setting_of_largest(trajectories),
        lambda figure: _evolution.metric_panels(figure, trajectories, _words.AS_IN_THE_PAPER),
    )
