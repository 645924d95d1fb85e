"""How alike the features of any two networks are."""

from itertools import product

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Rectangle

from equal_losses.figures.experiment import _shared
from equal_losses.figures.style import widest
from equal_losses.metrics.alignment import UNTRAINED
from equal_losses.running.words import count

_PARTS = {"features": "features", "class_means": "class means", "within_class": "residuals of the class"}
_KEY = "above the diagonal: same seed; below it: different seeds; boxes: same loss, different seeds; –: too few seeds"
_SPLITS = {"train": "training images", "test": "test images"}


def alignment_figure(
    alignment: pd.DataFrame, measure: str, label: str, *, colormap: str, limits: tuple[float, float]
) -> Figure:
    """One panel per part of the features, of training and of test images; one cell per pair, its mean over the seeds.

    Colours, dark where features are equal, are of the column `measure`, called `label`, between the limits.
    """
    first = alignment.iloc[0]
    size = f"width {first['width']:g}, {count(first['epochs'], 'epoch')}, {_shared.seeds(alignment['first_seed'])}"
    losses = list(dict.fromkeys(pd.concat([alignment["first_loss"], alignment["second_loss"]])))
    losses.remove(UNTRAINED)
    means = alignment.groupby(["split", "part", "comparison", "first_loss", "second_loss"])[measure].mean()
    columns = [*losses, UNTRAINED]
    beside, width = _shared.panels_of_names(columns, losses)
    rows = len(_PARTS) * len(_SPLITS) // beside
    written = width / len(columns) > 0.23  # inches, which a number needs

    def draw(figure: FigureBase) -> None:
        grid = figure.subplots(rows, beside, squeeze=False, sharex=True, sharey=True)
        for axes, ((part, name), (split, images)) in zip(
            grid.flat, product(_PARTS.items(), _SPLITS.items()), strict=True
        ):
            cells = _cells(means[split, part], losses)
            texts = np.where(np.isnan(cells), "–", np.char.mod("%.2f" if written else "", cells))
            image = _shared.heatmap(axes, cells, texts, norm=Normalize(*limits), cmap=colormap)
            axes.axvline(len(losses) - 0.5, color="white", linewidth=3)
            for place in range(len(losses)):
                corner = (place - 0.5, place - 0.5)
                axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=0.8, zorder=3))
            axes.set_title(f"{name}, {images}")
            _shared.name_cells(axes, columns, losses)
        _shared.colorbar(figure, image, grid, label, location="bottom", shrink=0.5, aspect=40)

    setting = f"{_shared.setting(alignment)}, {size}\n{_KEY}"
    return _shared.page(
        1.3 + widest(losses, 7) + rows * (0.3 + (0.22 if written else 0.13) * len(losses)), setting, draw
    )


def _cells(means: pd.Series, losses: list[str]) -> np.ndarray:
    """L x (L + 1): different losses from one seed above the diagonal, from two seeds below it; controls on it and last.

    `means` are of one split and part, by (comparison, first_loss, second_loss).
    """
    cells = np.full((len(losses), len(losses) + 1), np.nan)
    for one, first in enumerate(losses):
        for other, second in enumerate(losses):
            comparison = "seeds" if one == other else "losses" if one < other else "losses_other_seed"
            either = means.get((comparison, second, first), np.nan)
            cells[one, other] = means.get((comparison, first, second), either)
        cells[one, -1] = means.get(("untrained", first, UNTRAINED), np.nan)
    return cells
