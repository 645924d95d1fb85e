import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment import _panels, _shared


def seed_variance(runs: pd.DataFrame) -> Figure:
    """Test accuracy of every run, by width and budget: what the seed alone changes, beside what the loss does."""
    setting = f"{_shared.setting(runs)}, {_shared.seeds(runs['seed'], ' (point: a run, bar: mean)')}"
    styles = _shared.styles(runs, linestyle="none")
    return _shared.page(0.7 + 1.6 * _panels.seed_rows(runs), setting, _panels.seed_panels, runs, legend=styles)
