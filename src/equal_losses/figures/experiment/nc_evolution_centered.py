from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _panels, _shared

_CENTERED = {
    **_shared.NC1,
    "nc2_centered": "$\\mathcal{NC}_2$, $W$ less its mean row",
    "nc3_centered": "$\\mathcal{NC}_3$, $W$ less its mean row",
}


def nc_evolution_centered(trajectories: pd.DataFrame) -> Figure:
    """Fig. 1 with the classifier's mean row taken off first, as the released code measures NC2 and NC3."""
    setting = _shared.setting_of_largest(trajectories)
    return _shared.page(2.3, setting, _panels.metric_panels, trajectories, _CENTERED)
