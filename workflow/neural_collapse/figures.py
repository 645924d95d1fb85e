"""Figures of an experiment.

A figure is a public function that returns a Matplotlib figure. Its name is its name in the configuration and of its
files, the first paragraph of its docstring is its caption, and its parameters name the tables that it is drawn from:
`runs` and `trajectories` (see `tables`), `alignment` (see `alignment`), `equivalence` and `correlation` (see
`equivalence`). Nothing here reads files or imports PyTorch.
"""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure, FigureBase
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter

from . import plotstyle
from .tables import UNTRAINED

_NC1 = {"nc1": "$\\mathcal{NC}_1$: variability collapse"}
_AS_IN_THE_PAPER = {**_NC1, "nc2": "$\\mathcal{NC}_2$: simplex ETF", "nc3": "$\\mathcal{NC}_3$: self-duality"}
_CENTERED = {
    **_NC1,
    "nc2_centered": "$\\mathcal{NC}_2$, $W$ less its mean row",
    "nc3_centered": "$\\mathcal{NC}_3$, $W$ less its mean row",
}


def nc_evolution(trajectories: pd.DataFrame) -> Figure:
    """Fig. 1 of the paper: NC1, NC2 and NC3 over the epochs of the largest configuration, a line a loss."""
    return _page(
        2.3, _setting_of_largest(trajectories), lambda figure: _nc_panels(figure, trajectories, _AS_IN_THE_PAPER)
    )


def nc_evolution_centered(trajectories: pd.DataFrame) -> Figure:
    """Fig. 1 with the classifier's mean row taken off first, as the released code measures NC2 and NC3."""
    return _page(2.3, _setting_of_largest(trajectories), lambda figure: _nc_panels(figure, trajectories, _CENTERED))


def accuracy_evolution(trajectories: pd.DataFrame) -> Figure:
    """Fig. 2 of the paper: training, validation and test accuracy over the epochs of the largest configuration."""
    return _page(2.3, _setting_of_largest(trajectories), lambda figure: _accuracy_panels(figure, trajectories))


def test_accuracy(runs: pd.DataFrame) -> Figure:
    """Fig. 3 of the paper: mean test accuracy of the model best on validation data, width x epochs, a panel a loss."""
    means, spreads = _over_seeds(runs)
    setting = f"{_setting(runs)}, {_seeds(runs)} (mean ± standard deviation)"
    return _page(
        _heatmap_height(runs, means), setting, lambda figure: _heatmaps(figure, means, spreads, "test accuracy, %")
    )


def accuracy_gap(runs: pd.DataFrame) -> Figure:
    """How far each loss is from the first one: the mean over seeds of its test accuracy less the first loss's."""
    gaps = _gaps(runs)
    setting = f"{_setting(runs)}, {_seeds(runs)}"
    return _page(_heatmap_height(runs, gaps), setting, lambda figure: _gap_heatmaps(figure, runs, gaps))


def seed_variance(runs: pd.DataFrame) -> Figure:
    """Test accuracy of every run, by width and budget: what the seed alone changes, beside what the loss does."""
    setting = f"{_setting(runs)}, {_seeds(runs)} (point: a run, bar: mean)"
    return _page(2.4, setting, lambda figure: _seed_panels(figure, runs))


def equivalence(equivalence: pd.DataFrame) -> Figure:
    """Differences of test accuracy between losses, mean over the seeds, with the intervals that decide whether a pair
    is equivalent (the whole bar within the grey margin), different or undecided."""
    widths, epochs = sorted(equivalence["width"].unique()), sorted(equivalence["epochs"].unique())
    pairs = equivalence.groupby(["first_loss", "second_loss"], sort=False).ngroups
    row = equivalence.iloc[0] if len(equivalence) else None
    setting = "" if row is None else f"{row['experiment']}: {_count(row['seeds'], 'seed')}"
    if row is not None:
        setting += f", intervals of {1 - 2 * row['equivalence_level']:.1%}, margin ±{100 * row['margin']:g} points"
    height = 0.9 + max(1, len(widths)) * (0.45 + 0.16 * max(1, pairs))
    return _page(height, setting, lambda figure: _intervals(figure, equivalence, widths, epochs))


def collapse_and_accuracy(runs: pd.DataFrame, correlation: pd.DataFrame) -> Figure:
    """Test accuracy of every run against its collapse, with rank correlations: of all runs as they are, and with width,
    epochs and loss held constant. Below zero means: the more collapsed, the more accurate."""
    setting = f"{_setting(runs)}, every run at its last epoch (larger marker: wider network)"
    return _page(2.9, setting, lambda figure: _collapse_panels(figure, runs, correlation))


def alignment_cka(alignment: pd.DataFrame) -> Figure:
    """Linear CKA of the features of any two trained networks, 1 where they are equal up to rotation and scale:
    different losses from the same seed above the diagonal and from different seeds below it; controls are the same loss
    from different seeds (diagonal) and each loss against its untrained network (right)."""
    return _alignment(alignment, "cka", "linear CKA", (0, 1))


def alignment_procrustes(alignment: pd.DataFrame) -> Figure:
    """Orthogonal Procrustes distance up to scale between the features of any two trained networks, 0 where they are
    equal: laid out like the figure of the linear CKA."""
    return _alignment(alignment, "procrustes", "Procrustes distance", (0, 2))


def overview(runs: pd.DataFrame, trajectories: pd.DataFrame) -> Figure:
    """Everything on one page: collapse and accuracy over the epochs, test accuracy at every width and budget, how far
    the losses are apart, and every run."""
    means, spreads = _over_seeds(runs)
    gaps = _gaps(runs)
    parts = {
        "a  Neural collapse on training data": (2.1, lambda part: _nc_panels(part, trajectories, _AS_IN_THE_PAPER)),
        "b  Accuracy": (2.1, lambda part: _accuracy_panels(part, trajectories)),
        "c  Test accuracy, %": (
            _heatmap_height(runs, means),
            lambda part: _heatmaps(part, means, spreads, "test accuracy, %"),
        ),
        "d  Difference of test accuracy": (
            _heatmap_height(runs, gaps),
            lambda part: _gap_heatmaps(part, runs, gaps),
        ),
        "e  Every run": (2.2, lambda part: _seed_panels(part, runs)),
    }
    heights = [height for height, _ in parts.values()]

    def draw(figure: FigureBase) -> None:
        rows = figure.subfigures(len(parts), 1, height_ratios=heights)
        for row, (title, (_, panels)) in zip(rows, parts.items(), strict=True):
            row.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
            panels(row)

    return _page(sum(heights), f"{_setting_of_largest(trajectories)} in a and b", draw)


def _page(height: float, setting: str, draw) -> Figure:
    """A figure of a page's width with its setting above it."""
    with mpl.rc_context(plotstyle.RC):
        figure = Figure(figsize=(plotstyle.PAGE_INCHES, height), layout="constrained")
        figure.suptitle(setting, fontsize=8)
        draw(figure)
        return figure


# Panels


def _nc_panels(figure: FigureBase, trajectories: pd.DataFrame, panels: dict[str, str]) -> None:
    for axis in _evolution(figure, trajectories, panels):
        axis.set_yscale("log")
        _few_ticks(axis.yaxis, *axis.get_ylim(), crowded=200)


def _few_ticks(axis: Axis, low: float, high: float, *, crowded: float) -> None:
    """Plain numbers on a logarithmic axis; from the ratio `crowded` on, powers of ten alone."""
    axis.set_major_locator(LogLocator(subs=(1,) if high > crowded * low else (1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def _accuracy_panels(figure: FigureBase, trajectories: pd.DataFrame) -> None:
    panels = {f"accuracy_{split}": f"{name} accuracy" for split, name in _SPLIT_NAMES.items()}
    axes = _evolution(figure, trajectories[trajectories["epoch"] > 0], panels)
    for axis in axes:
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        axis.sharey(axes[0])


_SPLIT_NAMES = {"train": "Training", "val": "Validation", "test": "Test"}


def _evolution(figure: FigureBase, trajectories: pd.DataFrame, panels: dict[str, str]) -> list[Axes]:
    """A panel a column; a line a loss, the mean over seeds, and a band from the smallest to the largest seed."""
    seeds = _largest(trajectories).groupby(["loss", "epoch"])[[*panels]]
    means, lowest, highest = seeds.mean(), seeds.min(), seeds.max()
    styles = plotstyle.loss_styles(dict.fromkeys(trajectories["loss"]))
    axes = figure.subplots(1, len(panels))
    for axis, (column, title) in zip(axes, panels.items(), strict=True):
        for loss, style in styles.items():
            mean, low, high = (table[column][loss] for table in (means, lowest, highest))
            axis.plot(mean.index, mean, label=loss, **style)
            axis.fill_between(mean.index, low, high, color=style["color"], alpha=0.18, linewidth=0)
        axis.set_title(title)
        axis.set_xlabel("epoch")
    _legend(figure, axes[0])
    return list(axes)


def _heatmaps(figure: FigureBase, means: pd.Series, spreads: pd.Series, label: str) -> None:
    """A panel a loss on one colour scale; each cell says its mean and standard deviation in per cent."""
    colors = mpl.colors.Normalize(100 * means.min(), 100 * means.max())

    def text(point: tuple) -> str:
        spread = spreads[point]
        return f"{100 * means[point]:.2f}" + ("" if np.isnan(spread) else f"\n±{100 * spread:.2f}")

    _grid(figure, 100 * means, colors, "cividis", text, label)


def _gap_heatmaps(figure: FigureBase, runs: pd.DataFrame, gaps: pd.Series) -> None:
    """A panel a loss but the first, on one colour scale that is white where there is no difference."""
    if gaps.empty:
        figure.text(0.5, 0.5, "one loss alone: there is no difference to show", ha="center", va="center")
        return
    limit = max(100 * gaps.abs().max(), 1e-9)
    colors = mpl.colors.Normalize(-limit, limit)
    reference = runs["loss"].iloc[0]
    _grid(figure, 100 * gaps, colors, "PuOr", lambda point: f"{100 * gaps[point]:+.2f}", f"loss − {reference}, points")


def _grid(figure: FigureBase, values: pd.Series, colors, colormap: str, text, label: str) -> None:
    losses, widths, epochs = (list(dict.fromkeys(values.index.get_level_values(level))) for level in range(3))
    widths, epochs = sorted(widths), sorted(epochs)
    columns = min(len(losses), 4)
    axes = figure.subplots(-(-len(losses) // columns), columns, squeeze=False)
    for axis in axes.flat[len(losses) :]:
        axis.set_axis_off()
    for axis, loss in zip(axes.flat, losses, strict=False):
        cells = np.array([[values[loss, width, budget] for budget in epochs] for width in widths])
        image = axis.imshow(cells, norm=colors, cmap=colormap, origin="lower", aspect="auto")
        for row, width in enumerate(widths):
            for column, budget in enumerate(epochs):
                color = _readable_on(image, cells[row, column])
                point = (loss, width, budget)
                axis.text(column, row, text(point), ha="center", va="center", fontsize=6.5, color=color)
        axis.grid(False)
        axis.set_title(loss)
        axis.set_xticks(range(len(epochs)), [f"{budget}" for budget in epochs])
        axis.set_yticks(range(len(widths)), [f"{width:g}" for width in widths])
        axis.set_xlabel("epochs")
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
    for axis in axes[:, 0]:
        axis.set_ylabel("width")
    figure.colorbar(image, ax=axes, shrink=0.9, pad=0.01, label=label)


def _seed_panels(figure: FigureBase, runs: pd.DataFrame) -> None:
    """A panel a width; at each budget a column of runs a loss."""
    widths, epochs = sorted(runs["width"].unique()), sorted(runs["epochs"].unique())
    styles = plotstyle.loss_styles(dict.fromkeys(runs["loss"]))
    axes = figure.subplots(1, len(widths), squeeze=False, sharey=True)[0]
    step = 0.8 / len(styles)
    for axis, width in zip(axes, widths, strict=True):
        for index, (loss, style) in enumerate(styles.items()):
            chosen = runs[(runs["width"] == width) & (runs["loss"] == loss)]
            places = chosen["epochs"].map(epochs.index) + (index - (len(styles) - 1) / 2) * step
            point = {**style, "linestyle": "none", "alpha": 0.8}
            axis.plot(places, chosen["accuracy_test"], label=loss, **point)
            means = chosen["accuracy_test"].groupby(places).mean()
            ends = means.index - 0.4 * step, means.index + 0.4 * step
            axis.hlines(means, *ends, color=style["color"], linewidth=1.5)
        axis.set_title(f"width {width:g}")
        axis.set_xticks(range(len(epochs)), [f"{budget}" for budget in epochs])
        axis.set_xlabel("epochs")
        axis.grid(axis="x", visible=False)
    axes[0].set_ylabel("test accuracy")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1))
    _legend(figure, axes[0])


def _intervals(figure: FigureBase, equivalence: pd.DataFrame, widths: list, epochs: list) -> None:
    """A panel a (width, epochs), a row a pair of losses."""
    if equivalence.empty:
        figure.text(0.5, 0.5, "one loss alone: there is no pair to compare", ha="center", va="center")
        return
    axes = figure.subplots(len(widths), len(epochs), squeeze=False, sharex=True, sharey=True)
    styles = {
        "equivalent": {"color": "#0072B2", "marker": "o"},
        "different": {"color": "#D55E00", "marker": "X"},
        "undecided": {"color": "#666666", "marker": "o", "markerfacecolor": "white"},
    }
    for row, width in enumerate(widths):
        for column, budget in enumerate(epochs):
            axis = axes[row, column]
            cell = equivalence[(equivalence["width"] == width) & (equivalence["epochs"] == budget)]
            margin = 100 * cell["margin"].iloc[0]
            axis.axvspan(-margin, margin, color="#000000", alpha=0.08, linewidth=0)
            axis.axvline(0, color="#000000", linewidth=0.6)
            for place, (_, pair) in enumerate(cell.iterrows()):
                style = styles[pair["verdict"]]
                axis.plot(100 * pair["difference"], place, linestyle="none", zorder=3, **style)
                axis.hlines(place, 100 * pair["interval_low"], 100 * pair["interval_high"], color=style["color"])
                if np.isnan(pair["interval_low"]):
                    axis.annotate("no interval", (100 * pair["difference"], place), (5, -2.5), **_SMALL_NOTE)
            axis.set_title(f"width {width:g}, {_count(budget, 'epoch')}")
            axis.set_yticks(range(len(cell)), cell["first_loss"] + " − " + cell["second_loss"])
            axis.grid(axis="y", visible=False)
            axis.set_ylim(len(cell) - 0.5, -0.5)
    # Intervals of few seeds are wider than anything: the differences and the margin shall stay legible.
    shown = 100 * max(4 * equivalence["margin"].max(), 1.2 * equivalence["difference"].abs().max())
    axes[0, 0].set_xlim(-shown, shown)
    for axis in axes[-1]:
        axis.set_xlabel("difference, points of test accuracy")
    handles = [Line2D([], [], linestyle="none", label=verdict, **style) for verdict, style in styles.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


_SMALL_NOTE = {"textcoords": "offset points", "fontsize": 6}


def _collapse_panels(figure: FigureBase, runs: pd.DataFrame, correlation: pd.DataFrame) -> None:
    axes = figure.subplots(1, 3, sharey=True)
    styles = plotstyle.loss_styles(dict.fromkeys(runs["loss"]))
    sizes = {width: 2.5 + 1.5 * rank for rank, width in enumerate(sorted(runs["width"].unique()))}
    for axis, (metric, title) in zip(axes, _AS_IN_THE_PAPER.items(), strict=True):
        for (loss, width), group in runs.groupby(["loss", "width"], sort=False):
            style = {**styles[loss], "linestyle": "none", "alpha": 0.7, "markersize": sizes[width]}
            label = loss if width == max(sizes) else None
            axis.plot(group[metric], group["final_accuracy_test"], label=label, **style)
        lines = [
            f"{name}: {_correlation(correlation, metric, held)}"
            for name, held in (
                ("all runs", "nothing"),
                ("at equal width, epochs", "width, epochs"),
                ("and equal loss", "width, epochs, loss"),
            )
        ]
        axis.set_title(title)
        axis.set_xscale("log")
        _few_ticks(axis.xaxis, *axis.get_xlim(), crowded=30)
        axis.set_xlabel("\n".join(["← more collapsed", "rank correlation", *lines]), fontsize=6.5, loc="left")
    axes[0].set_ylabel("test accuracy")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1))
    _legend(figure, axes[0])


def _correlation(correlation: pd.DataFrame, metric: str, held: str) -> str:
    row = correlation[(correlation["metric"] == metric) & (correlation["held"] == held)].iloc[0]
    if np.isnan(row["correlation"]):
        return "no variation"
    return f"{row['correlation']:+.2f} [{row['interval_low']:+.2f}, {row['interval_high']:+.2f}]"


_PARTS = {"features": "features", "class_means": "class means", "within_class": "residuals of the class"}


def _alignment(alignment: pd.DataFrame, measure: str, label: str, limits: tuple[float, float]) -> Figure:
    """Rows: training and test images; columns: parts of the features; a cell a pair of losses, its mean over seeds."""
    first = alignment.iloc[0]
    setting = f"{first['experiment']}: width {first['width']:g}, {_count(first['epochs'], 'epoch')}"
    setting += f", {_seeds(alignment.rename(columns={'first_seed': 'seed'}))}"
    losses = [
        loss for loss in dict.fromkeys([*alignment["first_loss"], *alignment["second_loss"]]) if loss != UNTRAINED
    ]
    height = 1.0 + 2 * (0.5 + 0.27 * len(losses))
    return _page(height, setting, lambda figure: _alignment_panels(figure, alignment, losses, measure, label, limits))


def _alignment_panels(figure: FigureBase, alignment, losses: list[str], measure: str, label: str, limits) -> None:
    means = alignment.groupby(["split", "part", "comparison", "first_loss", "second_loss"])[measure].mean()
    axes = figure.subplots(2, len(_PARTS), sharex=True, sharey=True)
    colors = mpl.colors.Normalize(*limits)
    # Dark is equal, in either measure.
    colormap = "cividis_r" if limits[1] == 1 else "cividis"
    for row, split in enumerate(["train", "test"]):
        for column, (part, title) in enumerate(_PARTS.items()):

            def mean(comparison: str, first: str, second: str, split=split, part=part) -> float:
                either = [(split, part, comparison, *pair) for pair in ((first, second), (second, first))]
                return next((means[key] for key in either if key in means.index), np.nan)

            cells = np.full((len(losses), len(losses) + 1), np.nan)
            for one, first in enumerate(losses):
                for other, second in enumerate(losses):
                    kind = "seeds" if one == other else "losses" if one < other else "losses_other_seed"
                    cells[one, other] = mean(kind, first, second)
                cells[one, -1] = mean("untrained", first, UNTRAINED)
            axis = axes[row, column]
            image = axis.imshow(cells, norm=colors, cmap=colormap, aspect="auto")
            for (one, other), value in np.ndenumerate(cells):
                text = "–" if np.isnan(value) else f"{value:.2f}"
                color = "black" if np.isnan(value) else _readable_on(image, value)
                axis.text(other, one, text, ha="center", va="center", fontsize=6.5, color=color)
            axis.axvline(len(losses) - 0.5, color="white", linewidth=3)
            for place in range(len(losses)):
                axis.add_patch(
                    Rectangle((place - 0.5, place - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=0.8)
                )
            axis.grid(False)
            axis.set_title(f"{title}, {'training' if split == 'train' else 'test'} images")
            axis.set_xticks(range(len(losses) + 1), [*losses, UNTRAINED])
            axis.set_yticks(range(len(losses)), losses)
            axis.spines[:].set_visible(False)
            axis.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.7, pad=0.01, label=label)


def _readable_on(image: AxesImage, value: float) -> str:
    red, green, blue, _ = image.cmap(image.norm(value))
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"


def _legend(figure: FigureBase, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), handlelength=4)


# Numbers and words


def _largest(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the largest width and the largest budget."""
    return table[(table["width"] == table["width"].max()) & (table["epochs"] == table["epochs"].max())]


def _over_seeds(runs: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Mean and standard deviation of the test accuracy by (loss, width, epochs), losses in the order of the study."""
    grouped = runs.groupby(["loss", "width", "epochs"], sort=False)["accuracy_test"]
    return grouped.mean(), grouped.std()


def _gaps(runs: pd.DataFrame) -> pd.Series:
    """Mean test accuracy of each loss but the first, less that of the first, by (loss, width, epochs)."""
    means, _ = _over_seeds(runs)
    reference, *others = dict.fromkeys(runs["loss"])
    differences = {
        point: value - means[(reference, *point[1:])] for point, value in means.items() if point[0] in others
    }
    return pd.Series(differences, dtype=float)


def _heatmap_height(runs: pd.DataFrame, values: pd.Series) -> float:
    losses = values.index.get_level_values(0).nunique() if len(values) else 1
    return 0.9 + (0.2 + 0.34 * runs["width"].nunique()) * -(-losses // 4)


def _setting(table: pd.DataFrame) -> str:
    """What was run, so that no figure can be taken for that of another study."""
    row = table.iloc[0]
    return f"{row['experiment']}: {row['network']} on {row['dataset']}"


def _setting_of_largest(trajectories: pd.DataFrame) -> str:
    row = _largest(trajectories).iloc[0]
    epochs = _count(row["epochs"], "epoch")
    return (
        f"{_setting(trajectories)}, width {row['width']:g}, {epochs}, {_seeds(trajectories)} (line: mean, band: range)"
    )


def _seeds(table: pd.DataFrame) -> str:
    return _count(table["seed"].nunique(), "seed")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
