import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.style import PAGE_INCHES, log_ticks, loss_styles
from equal_losses.figures.theory._shared import GREY, loss_legend, mark


def margins(curves: pd.DataFrame) -> Figure:
    """The margin of the best neural collapse over the penalties, of every loss, computed from the loss alone. Beyond
    the vertical line cross entropy is at zero. A jump to zero is a tie; hinges stay at their margin until they end.
    """
    every_class = sorted(curves["classes"].unique())
    classes = 10 if 10 in every_class else every_class[0]
    curves = curves[(curves["curve"] == "margin") & (curves["classes"] == classes)]
    styles = loss_styles(curves["loss"].unique())
    figure = Figure(figsize=(PAGE_INCHES, 4), layout="constrained")
    axis = figure.subplots()
    for place, (loss, style) in enumerate(styles.items()):
        of_loss = curves[curves["loss"] == loss]
        # A few marks, at other places than the next loss's, tell lines apart whose colour and dashes are the same.
        axis.plot(of_loss["x"], of_loss["y"], **{**style, **mark(style)}, markevery=(place % 7, 7))
    axis.axvline(1, color=GREY, linewidth=0.8, zorder=0)
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=1)
    log_ticks(axis.xaxis)
    axis.set_xlabel("strength of the penalties, $K\\sqrt{n\\lambda_W\\lambda_H}$")
    axis.set_ylabel("margin $z_k - z_j$")
    axis.set_title(f"$K = {classes}$")
    loss_legend(figure, styles)
    return figure
