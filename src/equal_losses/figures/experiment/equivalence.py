import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, FigureBase

from equal_losses.figures.experiment import _shared
from equal_losses.figures.style import few_ticks, widest
from equal_losses.running.words import count

_VERDICTS = {
    "equivalent": {"color": "#0072B2", "marker": "o", "linestyle": "none"},
    "different": {"color": "#D55E00", "marker": "X", "linestyle": "none"},
    "undecided": {"color": "#666666", "marker": "o", "linestyle": "none", "markerfacecolor": "white"},
}
_SIGNS = {"equivalent": "=", "different": "≠", "undecided": ""}


def equivalence(runs: pd.DataFrame, equivalence: pd.DataFrame) -> Figure:
    """Differences of test accuracy between losses, mean over the seeds, with the intervals that decide. A pair is
    equivalent where the whole interval is within the grey margin. The confidence is chosen so that, of all pairs
    together, the chance of calling any equivalent by mistake is at most the significance of the study. An arrow is an
    interval that goes on beyond the axis; one seed, or the same difference at every seed, gives no interval. Where
    losses are too many for a row per pair, each pair is a cell, row minus column: = is equivalent, ≠ different, and an
    empty cell undecided.
    """
    setting = _shared.setting(runs)
    if equivalence.empty:
        note = "one loss alone: there is no pair to compare"
        return _shared.page(1.51, setting, lambda figure: figure.text(0.5, 0.5, note, ha="center", va="center"))
    row = equivalence.iloc[0]
    setting += f", {count(row['seeds'], 'seed')}, margin ±{100 * row['margin']:g} (points of test accuracy), "
    any_interval = equivalence["interval_low"].notna().any()
    setting += f"intervals of {1 - 2 * row['equivalence_level']:.1%} confidence" if any_interval else "no intervals"
    losses = list(dict.fromkeys(runs["loss"]))
    longest = widest(losses, 7)
    if len(losses) > 8 or longest > 1.5:
        signs = ", ".join(f"{sign or 'empty'}: {verdict}" for verdict, sign in _SIGNS.items())
        beside, _ = _shared.panels_of_names(losses, losses)
        rows = -(-equivalence.groupby(["width", "epochs"]).ngroups // beside)
        height = 1.2 + longest + rows * (0.3 + 0.13 * len(losses))
        return _shared.page(height, f"{setting}\n{signs}", _matrices, equivalence, losses, (rows, beside))
    height = 0.9 + equivalence["width"].nunique() * (0.45 + 0.16 * len(losses) * (len(losses) - 1) / 2)
    return _shared.page(height, setting, _intervals, equivalence, legend=_VERDICTS)


def _matrices(figure: FigureBase, equivalence: pd.DataFrame, losses: list[str], shape: tuple[int, int]) -> None:
    """One panel per (width, epochs), one cell per pair of losses."""
    limit = 100 * max(equivalence["difference"].abs().max(), equivalence["margin"].max())
    panels = equivalence.groupby(["width", "epochs"])
    grid = figure.subplots(*shape, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[panels.ngroups :]:
        axes.set_axis_off()
    for axes, ((width, epochs), cell) in zip(grid.flat, panels, strict=False):
        differences, signs = np.zeros((len(losses),) * 2), np.full((len(losses),) * 2, "")
        for pair in cell.itertuples():
            one, other = losses.index(pair.first_loss), losses.index(pair.second_loss)
            differences[one, other], differences[other, one] = 100 * pair.difference, -100 * pair.difference
            signs[one, other] = signs[other, one] = _SIGNS[pair.verdict]
        image = _shared.heatmap(axes, differences, signs, norm=Normalize(-limit, limit), cmap="PuOr")
        axes.set_title(f"width {width:g}, {count(epochs, 'epoch')}")
        _shared.name_cells(axes, losses, losses)
    label = "row minus column, points of test accuracy"
    _shared.colorbar(figure, image, grid, label, location="bottom", shrink=0.5, aspect=40)


def _intervals(figure: FigureBase, equivalence: pd.DataFrame) -> None:
    """One panel per (width, epochs), one row per pair of losses."""
    shape = equivalence["width"].nunique(), equivalence["epochs"].nunique()
    grid = figure.subplots(*shape, squeeze=False, sharex=True, sharey=True)
    # Intervals of few seeds are wider than anything else: the differences and the margin must stay legible.
    shown = 100 * max(4 * equivalence["margin"].max(), 1.2 * equivalence["difference"].abs().max())
    grid[0, 0].set_xlim(-shown, shown)
    for axes, ((width, epochs), cell) in zip(grid.flat, equivalence.groupby(["width", "epochs"]), strict=True):
        margin = 100 * cell["margin"].iloc[0]
        axes.axvspan(-margin, margin, color="#000000", alpha=0.08, linewidth=0)
        axes.axvline(0, color="#000000", linewidth=0.6)
        for place, pair in enumerate(cell.itertuples()):
            style = _VERDICTS[pair.verdict]
            difference, low, high = 100 * pair.difference, 100 * pair.interval_low, 100 * pair.interval_high
            axes.plot(difference, place, zorder=3, **style)
            axes.hlines(place, low, high, color=style["color"])
            for end, arrow, leaves in ((-shown, "<", low < -shown), (shown, ">", high > shown)):
                if leaves:
                    axes.plot(end, place, arrow, color=style["color"], clip_on=False)
            if np.isnan(low) and pair.seeds > 1:
                side = {"ha": "right", "xytext": (-5, -2.5)} if difference > 0 else {"ha": "left", "xytext": (5, -2.5)}
                axes.annotate("no interval", (difference, place), textcoords="offset points", fontsize=6.5, **side)
        axes.set_title(f"width {width:g}, {count(epochs, 'epoch')}")
        axes.set_yticks(range(len(cell)), cell["first_loss"] + " − " + cell["second_loss"])
        axes.grid(axis="y", visible=False)
        axes.set_ylim(len(cell) - 0.5, -0.5)
    for axes in grid[-1]:
        axes.set_xlabel("difference, points")
        axes.xaxis.set_major_locator(few_ticks())
