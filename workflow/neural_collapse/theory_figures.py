"""Figures of the theory study.

A figure is a public function of the tables that `theory.FIGURES` names for it, in that order. Lines are theory, marks
are computed, unless the caption says otherwise. Nothing here reads files or imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from .plotstyle import COLUMN_INCHES, RC, loss_styles

GREY = "0.45"


def ufm_descent(descent: pd.DataFrame) -> Figure:
    """NC1 to NC3 and the margin's error over the iterations of gradient descent on Eq. (7), a line a loss."""
    panels = {
        "nc1": "$\\mathcal{NC}_1$",
        "nc2": "$\\mathcal{NC}_2$",
        "nc3": "$\\mathcal{NC}_3$",
        "margin_error": "error of margin",
    }
    path = descent[descent["iteration"] > 0]
    with mpl.rc_context(RC):
        figure = Figure(figsize=(COLUMN_INCHES, 3.4), layout="constrained")
        axes = figure.subplots(2, 2, sharex=True)
        for axis, (column, label) in zip(axes.flat, panels.items(), strict=True):
            for loss, style in loss_styles(path["loss"].unique()).items():
                rows = path[path["loss"] == loss]
                axis.loglog(rows["iteration"], rows[column], **style, markevery=0.25, label=loss)
            axis.set_title(label)
            axis.set_ylim(bottom=1e-12, top=30)
            _sparse_log_ticks(axis)
        for axis in axes[1]:
            axis.set_xlabel("iteration")
        _loss_legend(figure, axes[0, 0])
    return figure


def margin_regularisation(minima: pd.DataFrame, closed_forms: pd.DataFrame) -> Figure:
    """Margin at the minimum over the strength of the penalties: the closed form and what L-BFGS found."""
    lines = closed_forms[closed_forms["curve"] == "margin"]
    strengths = minima["strength"].min() / 2, minima["strength"].max() * 2
    every_class = sorted(minima["classes"].unique())
    shown = every_class if len(every_class) < 3 else every_class[-2:]
    with mpl.rc_context(RC):
        figure = Figure(figsize=(COLUMN_INCHES, 0.6 + 1.6 * len(shown)), layout="constrained")
        axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False)
        for axis, classes in zip(axes.flat, shown, strict=True):
            for loss, style in loss_styles(minima["loss"].unique()).items():
                line = lines[(lines["loss"] == loss) & (lines["classes"] == classes) & lines["x"].between(*strengths)]
                axis.plot(line["x"], line["y"], color=style["color"], linestyle=style["linestyle"])
                found = minima[(minima["loss"] == loss) & (minima["classes"] == classes)]
                axis.plot(found["strength"], found["margin"], linestyle="", **_mark(style))
            axis.axvline(1, color=GREY, linewidth=0.8, zorder=0)
            axis.set_xscale("log")
            axis.set_ylabel("margin $z_k - z_j$")
            axis.set_title(f"$K = {classes}$, $d$ = {_listed(minima[minima['classes'] == classes]['dim'])}")
        axes[-1, 0].set_xlabel("strength of the penalties, $K\\sqrt{n\\lambda_W\\lambda_H}$")
        _loss_legend(figure, axes[0, 0], loss_styles(minima["loss"].unique()))
    return figure


def geometry(geometry: pd.DataFrame) -> Figure:
    """K = 3 in the plane: where gradient descent takes the features, class means and classifier of each loss.

    The last panel turns and scales each loss's end point onto the others.
    """
    losses = list(geometry["loss"].unique())
    columns = 3
    rows = -(-(len(losses) + 1) // columns)
    class_colors = ["#0072B2", "#D55E00", "#009E73"]
    with mpl.rc_context({**RC, "axes.grid": False}):
        figure = Figure(figsize=(COLUMN_INCHES, 0.35 + 1.2 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, subplot_kw={"aspect": "equal"}, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, loss in zip(axes.flat, losses, strict=False):
            part = geometry[geometry["loss"] == loss]
            means, rows_of_W = (part[part["what"] == what] for what in ("class_mean", "classifier"))
            unit = np.hypot(means["x"], means["y"]).mean()
            longest = np.hypot(rows_of_W["x"], rows_of_W["y"]).mean()
            features = part[part["what"] == "feature"]
            for label, color in enumerate(class_colors):
                of_class = features[features["class"] == label]
                for _, path in of_class.groupby(of_class.groupby("iteration").cumcount()):
                    axis.plot(path["x"] / unit, path["y"] / unit, color=color, linewidth=0.5, alpha=0.7)
                    axis.plot(*path[["x", "y"]].iloc[0] / unit, ".", color=color, markersize=2)
            _draw_vectors(axis, rows_of_W, 0.72 / longest, class_colors)
            _draw_points(axis, means, 1 / unit, class_colors)
            _equal_frame(axis)
            axis.set_title(f"{loss}\n$\\|w\\| = {longest:.2f}$", linespacing=1.1, pad=2)
        overlay = axes.flat[len(losses)]
        for loss, style in loss_styles(losses).items():
            turned = _aligned(_by_class(geometry[(geometry["loss"] == loss) & (geometry["what"] == "class_mean")]))
            closed = np.vstack([turned, turned[:1]])
            size = 11 - 2.5 * losses.index(loss)
            overlay.plot(
                *closed.T, **{**style, "marker": "o"}, markersize=max(size, 2), fillstyle="none", linewidth=0.9
            )
        _equal_frame(overlay)
        overlay.set_title("all, turned\nand scaled", linespacing=1.1, pad=2)
        if len(losses) + 1 < rows * columns:
            key = axes.flat[len(losses) + 1]
            handles = [
                Line2D([], [], color=GREY, linewidth=0.6, marker=".", markersize=3, markevery=[0]),
                Line2D([], [], color=GREY, marker="o", linestyle=""),
                Line2D([], [], color=GREY, marker=">", linewidth=1.4, markevery=[1]),
            ]
            handles[0].set_data([0, 1], [0, 0])
            handles[2].set_data([0, 1], [0, 0])
            key.legend(handles, ["features,\nfrom the start", "class means", "classifier"], loc="center", fontsize=6.5)
    return figure


def mse_bias(bias_sweep: pd.DataFrame, closed_forms: pd.DataFrame) -> Figure:
    """NC2 under MSE over lambda_b, theory and computation on one axis, with the boundary of the simplex ETF."""
    swept = bias_sweep[bias_sweep["lambda_b"] > 0]
    sizes = swept.groupby(["loss", "classes"], sort=False)
    with mpl.rc_context(RC):
        figure = Figure(figsize=(COLUMN_INCHES, 2.7), layout="constrained")
        axis = figure.subplots()
        styles = loss_styles(range(sizes.ngroups))
        for (loss, classes), style in zip(sizes.groups, styles.values(), strict=True):
            of_size = closed_forms[(closed_forms["loss"] == loss) & (closed_forms["classes"] == classes)]
            line = of_size[of_size["curve"] == "bias_nc2"]
            name = f"$K = {classes}$" if swept["loss"].nunique() == 1 else f"{loss}, $K = {classes}$"
            axis.plot(line["x"], line["y"], color=style["color"], linestyle=style["linestyle"])
            found = swept[(swept["loss"] == loss) & (swept["classes"] == classes)]
            axis.plot(found["lambda_b"], found["nc2"], linestyle="", **_mark(style), label=f"{name}, uncentered")
            axis.plot(
                found["lambda_b"],
                found["nc2_centered"],
                linestyle="",
                **{**_mark(style), "markerfacecolor": style["color"], "markersize": 2.5},
                label=f"{name}, centered",
            )
            boundary = of_size[of_size["curve"] == "bias_boundary"]["x"].iloc[0]
            axis.axvline(boundary, color=GREY, linewidth=0.8, linestyle=style["linestyle"], zorder=0)
        axis.set_xscale("log")
        axis.set_xlabel("penalty of the bias, $\\lambda_b$")
        axis.set_ylabel("$\\mathcal{NC}_2$")
        figure.legend(loc="outside upper center", ncols=2, fontsize=7)
    return figure


def contrastive_property(curves: pd.DataFrame, closed_forms: pd.DataFrame) -> Figure:
    """phi and its minimiser t*, as margins: the closed forms and what was found from the losses alone, for one K."""
    classes = 10 if 10 in set(curves["classes"]) else int(curves["classes"].iloc[0])
    curves = curves[curves["classes"] == classes]
    lines = closed_forms[(closed_forms["curve"] == "margin") & (closed_forms["classes"] == classes)]
    styles = loss_styles(curves["loss"].unique())
    with mpl.rc_context(RC):
        figure = Figure(figsize=(COLUMN_INCHES, 4.1), layout="constrained")
        upper, lower = figure.subplots(2, 1)
        for loss, style in styles.items():
            line_style = {"color": style["color"], "linestyle": style["linestyle"]}
            psi = curves[(curves["loss"] == loss) & (curves["curve"] == "psi")]
            at_zero = psi.loc[psi["x"].abs().idxmin(), "y"]
            upper.plot(psi["x"], psi["y_closed_form"] / at_zero, **line_style)
            upper.plot(psi["x"][::20], psi["y"][::20] / at_zero, linestyle="", **_mark(style))
            line = lines[lines["loss"] == loss]
            lower.plot(line["x"], line["y"], **line_style)
            found = curves[(curves["loss"] == loss) & (curves["curve"] == "margin")]
            lower.plot(found["x"], found["y"], linestyle="", **_mark(style))
        upper.set_ylim(0, 2)
        upper.set_xlim(-4, 16)
        upper.axvline(0, color=GREY, linewidth=0.8, zorder=0)
        upper.set_xlabel("margin $s = -t/(K-1)$")
        upper.set_ylabel("$\\phi(t)\\,/\\,\\phi(0)$")
        upper.set_title(f"$K = {classes}$")
        lower.set_xscale("log")
        lower.set_xlabel("$K c$")
        lower.set_ylabel("$-t^*/(K-1)$")
        _loss_legend(figure, upper, styles)
    return figure


def focal_tie(curves: pd.DataFrame, definition: pd.DataFrame) -> Figure:
    """phi(t) + c |t| below, at and above the c at which its minimiser is not unique, for the largest K that has one."""
    tied = definition.dropna(subset=["tie_c"]).sort_values("classes")
    with mpl.rc_context(RC):
        figure = Figure(figsize=(COLUMN_INCHES, 2.3), layout="constrained")
        axis = figure.subplots()
        axis.set_xlabel("margin $s = -t/(K-1)$")
        axis.set_ylabel("$\\phi(t) + c\\,|t| - \\phi(0)$")
        if tied.empty:
            axis.text(0.5, 0.5, "no tie was found", transform=axis.transAxes, ha="center")
            return figure
        tie = tied.iloc[-1]
        psi = curves[
            (curves["curve"] == "psi") & (curves["loss"] == tie["loss"]) & (curves["classes"] == tie["classes"])
        ]
        psi = psi[psi["x"].between(-1e-9, 1.75 * tie["tie_margin"])]
        start = psi["y"].iloc[0]
        for factor, style in zip((0.95, 1.0, 1.05), loss_styles(range(3)).values(), strict=True):
            c = factor * tie["tie_c"]
            objective = psi["y"] + (tie["classes"] - 1) * c * psi["x"] - start
            line = {"color": style["color"], "linestyle": style["linestyle"]}
            axis.plot(psi["x"], objective, **line, label=f"$c = {c:.5f}$" + (" (tie)" if factor == 1 else ""))
        axis.plot([0, tie["tie_margin"]], [0, 0], "o", color="black", fillstyle="none", clip_on=False, zorder=3)
        axis.set_xlim(left=0)
        axis.set_title(f"{tie['loss']}, $K = {tie['classes']}$")
        axis.legend()
    return figure


def focal_convexity(focal_convexity: pd.DataFrame, closed_forms: pd.DataFrame) -> Figure:
    """The p from which the focal loss is convex, over gamma: closed form, eigenvalues, and the paper's 0.21."""
    line = closed_forms[closed_forms["curve"] == "threshold"]
    with mpl.rc_context(RC):
        figure = Figure(figsize=(COLUMN_INCHES, 2.3), layout="constrained")
        axis = figure.subplots()
        axis.fill_between(line["x"], line["y"], 0.25, color="#56B4E9", alpha=0.2, linewidth=0)
        axis.plot(line["x"], line["y"], color="black", label="closed form")
        for classes, style in loss_styles(sorted(focal_convexity["classes"].unique())).items():
            found = focal_convexity[focal_convexity["classes"] == classes]
            mark = {**_mark(style), "markersize": 5 if style["marker"] == "o" else 3}
            axis.plot(found["gamma"], found["threshold"], linestyle="", **mark, label=f"eigenvalues, $K = {classes}$")
        axis.axhline(0.21, color="#D55E00", linestyle="--", label="paper: $p \\geq 0.21$")
        axis.set_xlim(0, line["x"].max())
        axis.set_ylim(0, 0.25)
        axis.text(0.25, 0.55, "convex", transform=axis.transAxes)
        axis.text(0.25, 0.07, "not convex", transform=axis.transAxes)
        axis.set_xlabel("$\\gamma$")
        axis.set_ylabel("probability $p$ of the true class")
        axis.legend(loc="upper right", bbox_to_anchor=(1, 0.8), fontsize=7)
    return figure


def random_starts(starts: pd.DataFrame) -> Figure:
    """How far above the global value random starts end, over the length of the start's vectors; a panel a setting."""
    settings = list(starts.groupby(["classes", "strength"], sort=False).groups)
    styles = loss_styles(starts["loss"].unique())
    scales = sorted(starts["start_scale"].unique())
    columns = min(len(settings), 2)
    rows = -(-len(settings) // columns)
    floor = 1e-17
    with mpl.rc_context(RC):
        figure = Figure(figsize=(COLUMN_INCHES, 0.5 + 1.45 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axis in axes.flat[len(settings) :]:
            axis.set_axis_off()
        for axis, (classes, strength) in zip(axes.flat, settings, strict=False):
            of_setting = starts[(starts["classes"] == classes) & (starts["strength"] == strength)]
            for index, (loss, style) in enumerate(styles.items()):
                part = of_setting[of_setting["loss"] == loss]
                # Side by side, each start in its place: chance has no part in the drawing.
                within = part.groupby("start_scale").cumcount() / part.groupby("start_scale")["seed"].transform("size")
                position = part["start_scale"].map(scales.index) + 0.2 * (index - (len(styles) - 1) / 2 + within - 0.5)
                excess = part["excess"].clip(lower=floor)
                axis.plot(position, excess, linestyle="", **{**_mark(style), "markersize": 2})
            share = of_setting["is_global"].astype(bool).mean()
            axis.set_title(f"$K = {classes}$, $K c = {strength:g}$\n{share:.0%} global", linespacing=1.1)
            axis.set_yscale("log")
            axis.set_ylim(floor / 3, 1)
            axis.set_xticks(range(len(scales)), [f"{scale:g}" for scale in scales])
            axis.set_xlim(-0.6, len(scales) - 0.4)
            _sparse_log_ticks(axis, "y")
        figure.supxlabel("length of the start's vectors", fontsize=8)
        figure.supylabel("objective above the global value", fontsize=8)
        _loss_legend(figure, axes[0, 0], styles)
    return figure


def _loss_legend(figure: Figure, axis: Axes, styles: dict | None = None) -> None:
    """One legend above all panels: those of `axis`, or a line with its mark for each of the styles."""
    if styles is None:
        handles, labels = axis.get_legend_handles_labels()
    else:
        handles = [Line2D([], [], **{**style, **_mark(style)}) for style in styles.values()]
        labels = list(styles)
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), handlelength=2.4, columnspacing=1.2)


def _mark(style: dict) -> dict:
    """A hollow mark, under which a line can be seen."""
    return {"color": style["color"], "marker": style["marker"], "markerfacecolor": "none", "markeredgewidth": 0.8}


def _sparse_log_ticks(axis: Axes, which: str = "both") -> None:
    for name in ("x", "y") if which == "both" else (which,):
        part = getattr(axis, f"{name}axis")
        part.set_major_locator(LogLocator(numticks=5))
        part.set_minor_locator(NullLocator())
        part.set_minor_formatter(NullFormatter())


def _listed(values: Iterable[int]) -> str:
    return ", ".join(str(value) for value in sorted(set(values)))


def _draw_vectors(axis: Axes, vectors: pd.DataFrame, scale: float, colors: list[str]) -> None:
    for end, color in zip(scale * _by_class(vectors), colors, strict=True):
        arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
        axis.annotate("", end, (0, 0), arrowprops=arrow)


def _draw_points(axis: Axes, points: pd.DataFrame, scale: float, colors: list[str]) -> None:
    for point, color in zip(scale * _by_class(points), colors, strict=True):
        axis.plot(*point, "o", color=color, markersize=5, markeredgecolor="white", zorder=3)


def _by_class(vectors: pd.DataFrame) -> np.ndarray:
    """Coordinates, a row a class."""
    return vectors.sort_values("class")[["x", "y"]].to_numpy()


def _equal_frame(axis: Axes) -> None:
    axis.set_xlim(-1.3, 1.3)
    axis.set_ylim(-1.3, 1.3)


def _aligned(triangle: np.ndarray) -> np.ndarray:
    """Class means turned, and if need be mirrored, so that class 0 is at (0, 1) and class 1 on the right."""
    scaled = triangle / np.linalg.norm(triangle, axis=1).mean()
    angle = np.pi / 2 - np.arctan2(scaled[0, 1], scaled[0, 0])
    turned = scaled @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return turned * [np.sign(turned[1, 0]) or 1, 1]
