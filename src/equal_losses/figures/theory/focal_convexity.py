import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.style import COLUMN_INCHES, loss_styles
from equal_losses.figures.theory._shared import mark
from equal_losses.theory.paper import FOCAL_REGION


def focal_convexity(focal_convexity: pd.DataFrame, closed_forms: pd.DataFrame) -> Figure:
    """**Line: theory**, derived for this study: the probability of the true class from which on the focal loss is
    convex in the logits, whatever the number of classes. **Marks: computed** by bisection on the smallest eigenvalue of
    its Hessian. The paper's region, p ≥ 0.21, is sufficient.
    """
    line = closed_forms[closed_forms["curve"] == "threshold"]
    figure = Figure(figsize=(COLUMN_INCHES, 2.3), layout="constrained")
    axis = figure.subplots()
    axis.fill_between(line["x"], line["y"], 0.25, color="#56B4E9", alpha=0.2, linewidth=0)
    axis.plot(line["x"], line["y"], color="black", label="closed form")
    for classes, style in loss_styles(sorted(focal_convexity["classes"].unique())).items():
        found = focal_convexity[focal_convexity["classes"] == classes]
        hollow = {**mark(style), "markersize": 5 if style["marker"] == "o" else 3}
        axis.plot(found["gamma"], found["threshold"], linestyle="", **hollow, label=f"eigenvalues, $K = {classes}$")
    axis.axhline(FOCAL_REGION, color="#D55E00", linestyle="--", label=f"paper: $p \\geq {FOCAL_REGION}$")
    axis.set_xlim(0, line["x"].max())
    axis.set_ylim(0, 0.25)
    axis.text(0.25, 0.55, "convex", transform=axis.transAxes)
    axis.text(0.25, 0.07, "not convex", transform=axis.transAxes)
    axis.set_xlabel("$\\gamma$")
    axis.set_ylabel("probability $p$ of the true class")
    axis.legend(loc="upper right", bbox_to_anchor=(1, 0.8), fontsize=7)
    return figure
