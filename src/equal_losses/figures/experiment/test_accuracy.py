"""Fig. 3 of the paper."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _heatmaps, _panels, _words


def test_accuracy(runs: pd.DataFrame) -> Figure:
    """Fig. 3 of the paper: mean test accuracy of the model best on validation data, width x epochs, one panel per
    loss."""
    means, spreads = _heatmaps.over_seeds(runs)
    return _panels.page(
        _heatmaps.height(runs, means),
        f"{_words.setting(runs)}, {_words.seeds(runs['seed'])} (mean ± standard deviation)",
        lambda figure: _heatmaps.accuracy_heatmaps(figure, means, spreads),
    )
