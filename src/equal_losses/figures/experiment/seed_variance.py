"""Every run beside the others of its configuration."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _panels, _seeds, _words


def seed_variance(runs: pd.DataFrame) -> Figure:
    """Test accuracy of every run, by width and budget: what the seed alone changes, beside what the loss does."""
    setting = f"{_words.setting(runs)}, {_words.seeds(runs['seed'])} (point: a run, bar: mean)"
    return _panels.page(2.4, setting, lambda figure: _seeds.seed_panels(figure, runs))
