import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.style import COLUMN_INCHES, log_ticks, loss_styles
from equal_losses.figures.theory._shared import loss_legend, mark


def ufm_descent(descent: pd.DataFrame) -> Figure:
    """**Computed.** Gradient descent with a constant step on the unconstrained feature model, Eq. (7), from the same
    random start for all losses. The four panels show the paper's three metrics and the relative error of the margin
    against the closed form. All go to zero, as Theorems 1 and 2 say.
    """
    panels = {
        "nc1": "$\\mathcal{NC}_1$",
        "nc2": "$\\mathcal{NC}_2$",
        "nc3": "$\\mathcal{NC}_3$",
        "margin_error": "error of margin",
    }
    path = descent[descent["iteration"] > 0]
    styles = loss_styles(path["loss"].unique())
    figure = Figure(figsize=(COLUMN_INCHES, 3.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    for axis, (column, label) in zip(axes.flat, panels.items(), strict=True):
        for loss, style in styles.items():
            rows = path[(path["loss"] == loss) & (path[column] > 0)]
            if rows.empty:  # without a closed form, or at features of zero
                continue
            axis.loglog(rows["iteration"], rows[column], **{**style, **mark(style)}, markevery=0.25)
        axis.set_title(label)
        axis.set_ylim(bottom=1e-12, top=30)
        log_ticks(axis.xaxis, axis.yaxis)
    for axis in axes[1]:
        axis.set_xlabel("iteration")
    loss_legend(figure, styles)
    return figure
