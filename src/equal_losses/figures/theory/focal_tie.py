import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.style import COLUMN_INCHES, loss_styles
from equal_losses.figures.theory._shared import line


def focal_tie(curves: pd.DataFrame, definition: pd.DataFrame) -> Figure:
    r"""**Computed** from the focal loss alone: φ(t) + c \|t\| for many classes, around the one c at which its minimiser
    is not unique. Definition 1 requires uniqueness at every c; the two circles tie. For γ = 3 this begins at 18
    classes.
    """
    tied = definition.dropna(subset=["tie_c"]).sort_values("classes")
    figure = Figure(figsize=(COLUMN_INCHES, 2.3), layout="constrained")
    axis = figure.subplots()
    axis.set_xlabel("margin $s = -t/(K-1)$")
    axis.set_ylabel("$\\phi(t) + c\\,|t| - \\phi(0)$")
    if tied.empty:
        axis.text(0.5, 0.5, "no tie was found", transform=axis.transAxes, ha="center")
        return figure
    tie = tied.iloc[-1]
    psi = curves[(curves["curve"] == "psi") & (curves["loss"] == tie["loss"]) & (curves["classes"] == tie["classes"])]
    psi = psi[psi["x"].between(-1e-9, 1.75 * tie["tie_margin"])]
    start = psi["y"].iloc[0]
    for factor, style in zip((0.95, 1.0, 1.05), loss_styles(range(3)).values(), strict=True):
        c = factor * tie["tie_c"]
        objective = psi["y"] + (tie["classes"] - 1) * c * psi["x"] - start
        axis.plot(psi["x"], objective, **line(style), label=f"$c = {c:.5f}$" + (" (tie)" if factor == 1 else ""))
    axis.plot([0, tie["tie_margin"]], [0, 0], "o", color="black", fillstyle="none", clip_on=False, zorder=3)
    axis.set_xlim(left=0)
    axis.set_title(f"{tie['loss']}, $K = {tie['classes']}$")
    axis.legend()
    return figure
