"""How every figure looks: sizes, colours and the style of each loss."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from equal_losses.running.files import atomic_path

COLUMN_INCHES = 3.3
PAGE_INCHES = 6.9

# The colours of Okabe and Ito, which people with any common colour blindness can tell apart; line and marker differ as
# well, for print without colour.
_STYLES = [
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#D55E00", "linestyle": "--", "marker": "s"},
    {"color": "#009E73", "linestyle": "-.", "marker": "^"},
    {"color": "#CC79A7", "linestyle": ":", "marker": "D"},
    {"color": "#E69F00", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "v"},
    {"color": "#56B4E9", "linestyle": (0, (8, 2)), "marker": "P"},
    {"color": "#000000", "linestyle": (0, (1, 3)), "marker": "X"},
]

RC = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "figure.dpi": 200,  # of the PNG, and so of the layout
    "axes.titley": 1.0,  # right above the panel, where Matplotlib would put it too, but after a search at every drawing
    "pdf.fonttype": 42,  # text stays text
}


def loss_styles(losses: Iterable[str]) -> dict[str, dict]:
    """Colour, line and marker of each loss, by its place in the list."""
    return {loss: _STYLES[index % len(_STYLES)] for index, loss in enumerate(losses)}


def save(figure: Figure, *paths: str | Path) -> None:
    """Write a figure in the format of each path's suffix; the same figure gives the same bytes."""
    with mpl.rc_context(RC):
        if figure.axes and (layout := figure.get_layout_engine()):
            # Computed once for all formats, because it takes longer than drawing the figure. After that the engine is
            # None and not "none", which leaves a placeholder for which savefig draws everything twice.
            layout.execute(figure)
            figure.set_layout_engine(None)
        for path in map(Path, paths):
            metadata = {".pdf": {"CreationDate": None}, ".png": {"Software": None}}.get(path.suffix)
            with atomic_path(path) as temporary:
                figure.savefig(temporary, metadata=metadata)
