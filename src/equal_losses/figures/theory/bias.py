import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.style import COLUMN_INCHES, log_ticks, loss_styles
from equal_losses.figures.theory._shared import GREY, line, mark


def bias(bias_sweep: pd.DataFrame, closed_forms: pd.DataFrame) -> Figure:
    r"""**Lines: theory**, derived for this study: under MSE and binary cross entropy with a penalised bias the
    minimiser leaves the simplex ETF at a boundary (vertical lines), λ\ :sub:`b` \|b\| = c, which for MSE with κ = 1 is
    β λ\ :sub:`b` / (2 + λ\ :sub:`b`) = K c / 2. Beyond, W keeps a component along the all-ones direction. **Marks:
    computed** with L-BFGS. Hollow: the paper's NC₂. Filled: NC₂ with the mean row of W subtracted, zero throughout.
    The paper leaves both losses out of Theorem 1.
    """
    swept = bias_sweep[bias_sweep["lambda_b"] > 0]
    sizes = swept.groupby(["loss", "classes"], sort=False)
    figure = Figure(figsize=(COLUMN_INCHES, 2.7), layout="constrained")
    axis = figure.subplots()
    styles = loss_styles(range(sizes.ngroups))
    for (loss, classes), style in zip(sizes.groups, styles.values(), strict=True):
        of_size = closed_forms[(closed_forms["loss"] == loss) & (closed_forms["classes"] == classes)]
        known = of_size[of_size["curve"] == "bias_nc2"]
        name = f"$K = {classes}$" if swept["loss"].nunique() == 1 else f"{loss}, $K = {classes}$"
        axis.plot(known["x"], known["y"], **line(style))
        found = swept[(swept["loss"] == loss) & (swept["classes"] == classes)]
        axis.plot(found["lambda_b"], found["nc2"], linestyle="", **mark(style), label=f"{name}, uncentered")
        filled = {**mark(style), "markerfacecolor": style["color"], "markersize": 2.5}
        axis.plot(found["lambda_b"], found["nc2_centered"], linestyle="", **filled, label=f"{name}, centered")
        (boundary,) = of_size[of_size["curve"] == "bias_boundary"]["x"]
        grey = {"color": GREY, "linewidth": 0.8, "linestyle": style["linestyle"], "zorder": 0}
        axis.axvline(boundary, **grey, label=f"{name}, boundary")
    axis.set_xscale("log")
    log_ticks(axis.xaxis)
    axis.set_xlabel("penalty of the bias, $\\lambda_b$")
    axis.set_ylabel("$\\mathcal{NC}_2$")
    figure.legend(loc="outside upper center", ncols=2, fontsize=7)
    return figure
