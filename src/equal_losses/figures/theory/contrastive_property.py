import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.style import COLUMN_INCHES, log_ticks, loss_styles
from equal_losses.figures.theory._shared import line, loss_legend, mark


def contrastive_property(curves: pd.DataFrame, closed_forms: pd.DataFrame) -> Figure:
    r"""Above: φ of Definition 1, relative to its value at zero. Below: the minimiser t* of φ(t) + c \|t\|, as a margin.
    **Lines: theory**, the closed forms. **Marks: computed** from the loss alone, as for any loss that is added.
    """
    classes = 10 if 10 in set(curves["classes"]) else int(curves["classes"].iloc[0])
    curves = curves[curves["classes"] == classes]
    lines = closed_forms[(closed_forms["curve"] == "margin") & (closed_forms["classes"] == classes)]
    styles = loss_styles(curves["loss"].unique())
    figure = Figure(figsize=(COLUMN_INCHES, 4.1), layout="constrained")
    upper, lower = figure.subplots(2, 1)
    for loss, style in styles.items():
        psi = curves[(curves["loss"] == loss) & (curves["curve"] == "psi")]
        at_zero = psi.loc[psi["x"].abs().idxmin(), "y"]
        upper.plot(psi["x"], psi["y_closed_form"] / at_zero, **line(style))
        upper.plot(psi["x"][::20], psi["y"][::20] / at_zero, linestyle="", **mark(style))
        of_loss = lines[lines["loss"] == loss]
        lower.plot(of_loss["x"], of_loss["y"], **line(style))
        found = curves[(curves["loss"] == loss) & (curves["curve"] == "margin")]
        lower.plot(found["x"], found["y"], linestyle="", **mark(style))
    upper.set_ylim(0, 2)
    upper.set_xlim(-4, 16)
    upper.set_xlabel("margin $s = -t/(K-1)$")
    upper.set_ylabel("$\\phi(t)\\,/\\,\\phi(0)$")
    upper.set_title(f"$K = {classes}$")
    lower.set_xscale("log")
    log_ticks(lower.xaxis)
    lower.set_xlabel("$K c$")
    lower.set_ylabel("$-t^*/(K-1)$")
    loss_legend(figure, styles)
    return figure
