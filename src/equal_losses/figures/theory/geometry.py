import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from equal_losses.figures.style import COLUMN_INCHES, legend, loss_styles
from equal_losses.figures.theory._shared import GREY

# Of Paul Tol's muted scheme, which people with any common colour blindness can tell apart; no loss has one of them.
CLASS_COLORS = ("#332288", "#999933", "#882255")


def geometry(geometry: pd.DataFrame) -> Figure:
    """**Computed.** Three classes in three dimensions: gradient descent on Eq. (7) from the same start under each loss,
    drawn in the plane of the classifier that it ends with. Thin lines are the paths of the features, in units of the
    length of the last class means. Arrows are the rows of W, drawn at one length; their true length is given above each
    panel. In the last panel the class means of all losses are turned and scaled onto each other. **Theory** says that
    they coincide: a simplex ETF, with class means along the rows of W.
    """
    losses = list(geometry["loss"].unique())
    columns = 3
    rows = -(-(len(losses) + 1) // columns)
    figure = Figure(figsize=(COLUMN_INCHES, 0.7 + 1.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, subplot_kw={"aspect": "equal"}, squeeze=False)
    for axis in axes.flat:
        axis.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for axis, loss in zip(axes.flat, losses, strict=False):
        _draw_descent(axis, loss, geometry[geometry["loss"] == loss])
    overlay = {loss: {**style, "fillstyle": "none", "linewidth": 0.9} for loss, style in loss_styles(losses).items()}
    _draw_overlay(axes.flat[len(losses)], geometry[geometry["what"] == "class_mean"], overlay)
    legend(figure, overlay)
    key = {
        "features, from the start": Line2D([0, 1], [0, 0], linewidth=0.6, marker=".", markersize=3, markevery=[0]),
        "class means": Line2D([], [], marker="o", linestyle=""),
        "classifier": Line2D([0, 1], [0, 0], marker=">", linewidth=1.4, markevery=[1]),
    }
    for handle in key.values():
        handle.set_color(GREY)
    figure.legend(key.values(), key, loc="outside upper center", ncols=len(key), fontsize=6.5)
    return figure


def _draw_descent(axis: Axes, loss: str, vectors: pd.DataFrame) -> None:
    """The paths of one loss's features, and the class means and the classifier at their end."""
    features, means, rows_of_W = (vectors[vectors["what"] == what] for what in ("feature", "class_mean", "classifier"))
    unit = np.hypot(means["x"], means["y"]).mean()
    length = np.hypot(rows_of_W["x"], rows_of_W["y"]).mean()
    for label, color in enumerate(CLASS_COLORS):
        of_class = features[features["class"] == label]
        for _, path in of_class.groupby(of_class.groupby("iteration").cumcount()):
            axis.plot(path["x"] / unit, path["y"] / unit, color=color, linewidth=0.5, alpha=0.7)
            axis.plot(*path[["x", "y"]].iloc[0] / unit, ".", color=color, markersize=2)
    for end, color in zip(0.72 / length * _by_class(rows_of_W), CLASS_COLORS, strict=True):
        arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
        axis.annotate("", end, (0, 0), arrowprops=arrow)
    for mean, color in zip(1 / unit * _by_class(means), CLASS_COLORS, strict=True):
        axis.plot(*mean, "o", color=color, markersize=5, markeredgecolor="white", zorder=3)
    axis.set_title(f"{loss}\n$\\|w\\| = {length:.2f}$", linespacing=1.1, pad=2)


def _draw_overlay(axis: Axes, means: pd.DataFrame, styles: dict[str, dict]) -> None:
    """The class means of all losses, turned and scaled onto each other, under smaller and smaller marks."""
    for index, (loss, style) in enumerate(styles.items()):
        turned = _aligned(_by_class(means[means["loss"] == loss]))
        closed = np.vstack([turned, turned[:1]])
        axis.plot(*closed.T, **style, markersize=3 + 8 * (1 - index / len(styles)))
    axis.set_title("all, turned\nand scaled", linespacing=1.1, pad=2)


def _by_class(vectors: pd.DataFrame) -> np.ndarray:
    """Coordinates, one row per class."""
    return vectors.sort_values("class")[["x", "y"]].to_numpy()


def _aligned(triangle: np.ndarray) -> np.ndarray:
    """Class means turned, and if need be mirrored, so that class 0 is at (0, 1) and class 1 on the right."""
    scaled = triangle / np.linalg.norm(triangle, axis=1).mean()
    angle = np.pi / 2 - np.arctan2(scaled[0, 1], scaled[0, 0])
    turned = scaled @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return turned * [np.sign(turned[1, 0]) or 1, 1]
