import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _panels, _shared


def nc_evolution(trajectories: pd.DataFrame) -> Figure:
    """Fig. 1 of the paper: NC₁, NC₂ and NC₃ over the epochs of the largest configuration, one line per loss."""
    return _panels.evolution(trajectories, _panels.metric_panels, _shared.AS_IN_THE_PAPER)
