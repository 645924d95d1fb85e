import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.style import COLUMN_INCHES, log_ticks, loss_styles
from equal_losses.figures.theory._shared import GREY, line, loss_legend, mark


def margin_regularisation(minima: pd.DataFrame, closed_forms: pd.DataFrame) -> Figure:
    """**Lines: theory**, the closed-form margin of the global minimiser with an unpenalised bias. **Marks: computed**
    with L-BFGS from random starts, for every seed and dimension. From the vertical line on, cross entropy collapses to
    W = H = 0; each loss has its own threshold.
    """
    lines = closed_forms[closed_forms["curve"] == "margin"]
    strengths = minima["strength"].min() / 2, minima["strength"].max() * 2
    every_class = sorted(minima["classes"].unique())
    shown = every_class if len(every_class) < 3 else every_class[-2:]
    styles = loss_styles(minima["loss"].unique())
    figure = Figure(figsize=(COLUMN_INCHES, 0.6 + 1.6 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False)
    for axis, classes in zip(axes.flat, shown, strict=True):
        for loss, style in styles.items():
            known = lines[(lines["loss"] == loss) & (lines["classes"] == classes) & lines["x"].between(*strengths)]
            axis.plot(known["x"], known["y"], **line(style))
            found = minima[(minima["loss"] == loss) & (minima["classes"] == classes)]
            axis.plot(found["strength"], found["margin"], linestyle="", **mark(style))
        axis.axvline(1, color=GREY, linewidth=0.8, zorder=0)
        axis.text(
            1.15, 0.2, "cross entropy:\n$W = H = 0$", transform=axis.get_xaxis_transform(), fontsize=6.5, color=GREY
        )
        axis.set_xscale("log")
        log_ticks(axis.xaxis)
        axis.set_ylabel("margin $z_k - z_j$")
        dims = sorted(set(minima[minima["classes"] == classes]["dim"]))
        axis.set_title(f"$K = {classes}$, $d$ = {', '.join(map(str, dims))}")
    axes[-1, 0].set_xlabel("strength of the penalties, $K\\sqrt{n\\lambda_W\\lambda_H}$")
    loss_legend(figure, styles)
    return figure
