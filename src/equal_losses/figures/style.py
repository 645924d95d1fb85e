"""How every figure looks: sizes, colours, the style of each loss, its legend and logarithmic axes."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath
from matplotlib.ticker import Formatter, LogLocator, MaxNLocator, NullLocator

from equal_losses.running.files import atomic_path

COLUMN_INCHES = 3.3
PAGE_INCHES = 6.9

# The colours of Okabe and Ito without yellow, and grey: people with any common colour blindness can tell them apart.
# Lines and markers differ as well, for print without colour. The lengths have no common factor, so that neither a
# colour with a line nor a colour with a marker comes back among 24 losses, and neighbours share none of the three.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#888888")
_LINES = (
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1, 1, 1, 1, 1)),
    (0, (8, 2)),
    (0, (1, 3)),
    (0, (3, 1, 3, 1, 1, 1)),
    (0, (8, 1, 1, 1)),
)
_MARKERS = "os^DvPX<*>phd"

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
    "axes.formatter.useoffset": False,  # every tick says its value
    "axes.formatter.limits": (-20, 20),
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "figure.dpi": 200,  # of the PNG, and so of the layout
    "axes.titley": 1.0,  # right above the panel, where Matplotlib would put it too, but after a search at every drawing
    "pdf.fonttype": 42,  # text stays text
}


def loss_styles(losses: Iterable[str]) -> dict[str, dict]:
    """Colour, line and marker of each loss, by its place in the list; up to 24 can be told apart."""
    kinds = {"color": _COLORS, "linestyle": _LINES, "marker": _MARKERS}
    return {
        loss: {name: choices[index % len(choices)] for name, choices in kinds.items()}
        for index, loss in enumerate(losses)
    }


def widest(texts: Iterable[str], size: float) -> float:
    """Inches of the widest text at a size in points."""
    return max(TextPath((0, 0), text, size=size).get_extents().width for text in texts) / 72


def legend(figure: Figure, styles: dict[str, dict], place: str = "lower") -> None:
    """The styles with their names below (or "upper": above) all panels, in as many columns as fit into the figure.

    The figure, whose height is for one row, grows by the others.
    """
    size, handle, gap = mpl.rcParams["legend.fontsize"], 3, 1.2  # in points, and in multiples of it
    fitting = int(figure.get_figwidth() // (widest(styles, size) + size / 72 * (handle + 0.8 + gap)))
    rows = -(-len(styles) // max(1, fitting))
    handles = [Line2D([], [], **style) for style in styles.values()]
    options = {"ncols": -(-len(styles) // rows), "handlelength": handle, "columnspacing": gap}
    figure.legend(handles, styles, loc=f"outside {place} center", **options)
    figure.set_figheight(figure.get_figheight() + 1.6 * size / 72 * (rows - 1))


def few_ticks(**options: object) -> MaxNLocator:
    """Three to six round numbers on a linear axis; options of `MaxNLocator`."""
    return MaxNLocator(**{"nbins": 5, "min_n_ticks": 3, "steps": [1, 2, 2.5, 5, 10], **options})


class _LogTicks(LogLocator):
    """Three ticks or more, whatever the range: powers of ten, or parts of them, or else even steps."""

    def nonsingular(self, vmin: float, vmax: float) -> tuple[float, float]:
        low, high = super().nonsingular(vmin, vmax)
        return (low, high) if high > 1.2 * low else (low / 1.1, high * 1.1)

    def tick_values(self, vmin: float, vmax: float) -> np.ndarray:
        exponents = np.arange(np.floor(np.log10(vmin)), np.ceil(np.log10(vmax)) + 1)
        every = 10.0 ** exponents[exponents % (1 + len(exponents) // 7) == 0]
        parts = [np.outer(every, parts).ravel() for parts in ([1], [1, 3], [1, 2, 5])]
        even = few_ticks().tick_values(vmin, vmax)
        shown = [ticks[(vmin <= ticks) & (ticks <= vmax)] for ticks in (*parts, even)]
        return next((ticks for ticks in shown if len(ticks) >= 3), shown[-1])


class _LogLabels(Formatter):
    """Plain numbers, or powers of ten on an axis that has very small or very large ones."""

    def format_ticks(self, values: np.ndarray) -> list[str]:
        plain = all(1e-4 <= value < 1e4 for value in values)
        return [f"{value:g}" if plain else _power_of_ten(value) for value in values]


def _power_of_ten(value: float) -> str:
    mantissa, exponent = f"{value:.3e}".split("e")
    factor = "" if float(mantissa) == 1 else f"{float(mantissa):g} \\times "
    return f"${factor}10^{{{int(exponent)}}}$"


def log_ticks(*axes: Axis) -> None:
    """Three labelled ticks or more on each of these logarithmic axes, whatever its range."""
    for axis in axes:
        axis.set_major_locator(_LogTicks())
        axis.set_major_formatter(_LogLabels())
        axis.set_minor_locator(NullLocator())
        axis.axes.autoscale_view()  # as the locator widens too narrow a range


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
