import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.style import COLUMN_INCHES, log_ticks, loss_styles
from equal_losses.figures.theory._shared import loss_legend, mark


def random_starts(starts: pd.DataFrame) -> Figure:
    """**Computed.** How far above the global value of Eq. (7) L-BFGS ends from random starts; the value itself is
    **theory**, in closed form. Marks at the bottom are equal to it, or below it by rounding. Between two strengths of
    the penalties, the focal loss with 18 classes or more has local minima that are not global, in which some classes
    share the origin; outside, every start ends at the global value.
    """
    settings = list(starts.groupby(["classes", "strength"], sort=False).groups)
    styles = loss_styles(starts["loss"].unique())
    scales = sorted(starts["start_scale"].unique())
    columns = min(len(settings), 2)
    rows = -(-len(settings) // columns)
    floor, step = 1e-17, 0.8 / len(styles)
    figure = Figure(figsize=(COLUMN_INCHES, 0.5 + 1.45 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(settings) :]:
        axis.set_axis_off()
    for axis, (classes, strength) in zip(axes.flat, settings, strict=False):
        of_setting = starts[(starts["classes"] == classes) & (starts["strength"] == strength)]
        for index, (loss, style) in enumerate(styles.items()):
            part = of_setting[of_setting["loss"] == loss]
            # Side by side, each start in a place of its own, and not jittered at random.
            within = part.groupby("start_scale").cumcount() / part.groupby("start_scale")["seed"].transform("size")
            position = part["start_scale"].map(scales.index) + step * (index - (len(styles) - 1) / 2 + within - 0.5)
            excess = part["excess"].clip(lower=floor)
            axis.plot(position, excess, linestyle="", **{**mark(style), "markersize": 2})
        share = of_setting["is_global"].astype(bool).mean()
        axis.set_title(f"$K = {classes}$, $K c = {strength:g}$\n{share:.0%} global", linespacing=1.1)
        axis.set_yscale("log")
        axis.set_ylim(floor / 3, 1)
        axis.set_xticks(range(len(scales)), [f"{scale:g}" for scale in scales])
        axis.set_xlim(-0.6, len(scales) - 0.4)
        log_ticks(axis.yaxis)
    figure.supxlabel("length of the start's vectors", fontsize=8)
    figure.supylabel("objective above the global value", fontsize=8)
    loss_legend(figure, styles)
    return figure
