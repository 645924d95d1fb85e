import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _panels, _shared

_CENTERED = {
    **_shared.NC1,
    "nc2_centered": "$\\mathcal{NC}_2$, $W$ minus its mean row",
    "nc3_centered": "$\\mathcal{NC}_3$, $W$ minus its mean row",
}


def nc_evolution_centered(trajectories: pd.DataFrame) -> Figure:
    """Fig. 1 of the paper with the mean row of W subtracted first, as the released code measures NC₂ and NC₃."""
    return _panels.evolution(trajectories, _panels.metric_panels, _CENTERED)
