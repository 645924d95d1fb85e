"""Fig. 1 of the paper, measured as its released code does."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _evolution, _panels, _words

_CENTERED = {
    **_words.NC1,
    "nc2_centered": "$\\mathcal{NC}_2$, $W$ less its mean row",
    "nc3_centered": "$\\mathcal{NC}_3$, $W$ less its mean row",
}


def nc_evolution_centered(trajectories: pd.DataFrame) -> Figure:
    """Fig. 1 with the classifier's mean row taken off first, as the released code measures NC2 and NC3."""
    return _panels.page(
        2.3,
        _words.setting_of_largest(trajectories),
        lambda figure: _evolution.metric_panels(figure, trajectories, _CENTERED),
    )
