from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _panels, _shared


def nc_evolution(trajectories: pd.DataFrame) -> Figure:
    """Fig. 1 of the paper: NC₁, NC₂ and NC₃ over the epochs of the largest configuration, one line per loss."""
    setting, styles = _shared.setting_of_largest(trajectories), _shared.styles(trajectories)
    return _shared.page(
        _panels.evolution_height(trajectories),
        setting,
        _panels.metric_panels,
        trajectories,
        _shared.AS_IN_THE_PAPER,
        legend=styles,
    )
