"""Panels that are a figure of their own and a part of the overview."""

from collections.abc import Callable, Iterable, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, FigureBase

from equal_losses.figures.experiment import _shared
from equal_losses.figures.style import log_ticks, widest

_ACCURACIES = {
    "accuracy_train": "Training accuracy",
    "accuracy_val": "Validation accuracy",
    "accuracy_test": "Test accuracy",
}


def metric_panels(figure: FigureBase, trajectories: pd.DataFrame, panels: Mapping[str, str]) -> None:
    """Metrics on logarithmic axes; `panels` has the title of each column."""
    for axes in _evolution(figure, trajectories, panels):
        axes.set_yscale("log")
        log_ticks(axes.yaxis)


def evolution(trajectories: pd.DataFrame, panels: Callable[..., None], *arguments: object) -> Figure:
    """Panels over the epochs, as a figure of their own."""
    height, setting = evolution_height(trajectories), _shared.setting_of_largest(trajectories)
    return _shared.page(height, setting, panels, trajectories, *arguments, legend=_shared.styles(trajectories))


def evolution_height(trajectories: pd.DataFrame) -> float:
    """Inches that lines over the epochs need."""
    return 2.1 + 0.05 * trajectories["loss"].nunique()


def accuracy_panels(figure: FigureBase, trajectories: pd.DataFrame) -> None:
    """Training, validation and test accuracy on one scale, without the untrained network."""
    row = _evolution(figure, trajectories[trajectories["epoch"] > 0], _ACCURACIES, sharey=True)
    _shared.accuracy_axis(row[0])


def _evolution(
    figure: FigureBase, trajectories: pd.DataFrame, panels: Mapping[str, str], *, sharey: bool = False
) -> list[Axes]:
    """Of the largest configuration one panel per column and one line per loss: the mean and the range over seeds."""
    seeds = _shared.largest(trajectories).groupby(["loss", "epoch"])[[*panels]]
    means, lowest, highest = seeds.mean(), seeds.min(), seeds.max()
    styles = _shared.styles(trajectories)
    # Bands and markers of many losses would hide their lines: paler ones, and a marker at every few snapshots.
    pale, every = min(1, 4 / len(styles)), min(1 + len(styles) // 6, means.groupby("loss").size().min())
    row = figure.subplots(1, len(panels), sharey=sharey)
    for axes, (column, title) in zip(row, panels.items(), strict=True):
        for index, (loss, style) in enumerate(styles.items()):
            mean, low, high = (table[column][loss] for table in (means, lowest, highest))
            axes.plot(mean.index, mean, label=loss, markevery=(index % every, every), **style)
            axes.fill_between(mean.index, low, high, color=style["color"], alpha=0.2 * pale, linewidth=0)
        axes.set_title(title)
        _shared.epoch_axis(axes, mean.index)
    return list(row)


def heatmaps_height(runs: pd.DataFrame, panels: int) -> float:
    """Inches that heatmaps need."""
    beside = _beside(runs["loss"], runs["epochs"].nunique())
    return 0.8 + (0.25 + 0.34 * runs["width"].nunique()) * max(1, -(-panels // beside))


def _beside(losses: Iterable[str], budgets: int) -> int:
    """How many heatmaps there are beside each other, so that names fit above them and numbers into their cells."""
    return max(1, min(4, 20 // budgets, int(5.4 / widest(losses, 8))))


def accuracy_heatmaps(figure: FigureBase, runs: pd.DataFrame) -> None:
    """One panel per loss on one colour scale; each cell has its mean and standard deviation in per cent."""
    means, spreads = 100 * _by_size(runs).mean(), 100 * _by_size(runs).std()
    texts = means.map("{:.2f}".format) + spreads.map("\n±{:.2f}".format).where(spreads.notna(), "")
    middle, reach = (means.max() + means.min()) / 2, max((means.max() - means.min()) / 2, 0.05)
    _heatmaps(figure, means, texts, Normalize(middle - reach, middle + reach), "cividis", "test accuracy, %")


def gap_heatmaps(figure: FigureBase, runs: pd.DataFrame) -> None:
    """One panel per loss but the first, on one colour scale that is white where there is no difference."""
    means = _by_size(runs).mean()
    reference = runs["loss"].iloc[0]
    others = means.drop(reference, level="loss")
    if others.empty:
        figure.text(0.5, 0.5, "one loss alone: there is no difference to show", ha="center", va="center")
        return
    gaps = 100 * (others - means[reference][others.index.droplevel("loss")].to_numpy())
    limit = max(gaps.abs().max(), 0.01)
    texts = gaps.map("{:+.2f}".format)
    _heatmaps(figure, gaps, texts, Normalize(-limit, limit), "PuOr", "points")


def _by_size(runs: pd.DataFrame) -> pd.api.typing.SeriesGroupBy:
    """Test accuracies by (loss, width, epochs), losses in the order of the study."""
    return runs.groupby(["loss", "width", "epochs"], sort=False)["accuracy_test"]


def _heatmaps(
    figure: FigureBase, values: pd.Series, texts: pd.Series, colors: Normalize, colormap: str, label: str
) -> None:
    losses = list(dict.fromkeys(values.index.get_level_values("loss")))
    columns = min(len(losses), _beside(losses, values.index.get_level_values("epochs").nunique()))
    grid = figure.subplots(-(-len(losses) // columns), columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(losses) :]:
        axes.set_axis_off()
    for place, (axes, loss) in enumerate(zip(grid.flat, losses, strict=False)):
        cells = values[loss].unstack()  # widths x epochs, both ascending
        written = texts[loss].unstack().to_numpy()
        image = _shared.heatmap(axes, cells.to_numpy(), written, norm=colors, cmap=colormap, origin="lower")
        axes.set_title(loss)
        axes.set_xticks(range(cells.shape[1]), [f"{budget}" for budget in cells.columns])
        axes.set_yticks(range(cells.shape[0]), [f"{width:g}" for width in cells.index])
        if place + columns >= len(losses):  # the lowest of its column
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("epochs")
    for axes in grid[:, 0]:
        axes.set_ylabel("width")
    _shared.colorbar(figure, image, grid, label)


def seed_rows(runs: pd.DataFrame) -> int:
    """Rows of panels of every run: one, or one per width where the runs of a loss would have no marker's room."""
    return 1 if runs.groupby(["loss", "width", "epochs"]).ngroups <= 100 else runs["width"].nunique()


def seed_panels(figure: FigureBase, runs: pd.DataFrame) -> None:
    """Test accuracies, one panel per width; at each budget one column of runs per loss."""
    widths, epochs = sorted(runs["width"].unique()), sorted(runs["epochs"].unique())
    styles = _shared.styles(runs, linestyle="none", alpha=0.8)
    rows = seed_rows(runs)
    grid = figure.subplots(rows, len(widths) // rows, squeeze=False, sharey=True)
    step = 0.8 / len(styles)
    for axes, width in zip(grid.flat, widths, strict=True):
        for index, (loss, style) in enumerate(styles.items()):
            chosen = runs[(runs["width"] == width) & (runs["loss"] == loss)]
            places = chosen["epochs"].map(epochs.index) + (index - (len(styles) - 1) / 2) * step
            axes.plot(places, chosen["accuracy_test"], label=loss, **style)
            if runs["seed"].nunique() > 1:
                means = chosen["accuracy_test"].groupby(places).mean()
                ends = means.index - 0.4 * step, means.index + 0.4 * step
                axes.hlines(means, *ends, color=style["color"], linewidth=1.5)
        axes.set_title(f"width {width:g}")
        axes.set_xticks(range(len(epochs)), [f"{budget}" for budget in epochs])
        axes.set_xlim(-0.5, len(epochs) - 0.5)
        axes.grid(axis="x", visible=False)
    for axes in grid[:, 0]:
        axes.set_ylabel("test accuracy")
    for axes in grid[-1]:
        axes.set_xlabel("epochs")
    _shared.accuracy_axis(grid[0, 0])
