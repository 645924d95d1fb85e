"""What figures of the theory have in common."""

from matplotlib.figure import Figure

from equal_losses.figures.style import legend

GREY = "0.45"


def loss_legend(figure: Figure, styles: dict[str, dict]) -> None:
    """One legend above all panels: a line with its mark for each loss."""
    legend(figure, {loss: {**style, **mark(style)} for loss, style in styles.items()}, "upper")


def line(style: dict) -> dict:
    """A line without marks."""
    return {"color": style["color"], "linestyle": style["linestyle"]}


def mark(style: dict) -> dict:
    """A hollow mark, under which a line can be seen."""
    return {"color": style["color"], "marker": style["marker"], "markerfacecolor": "none", "markeredgewidth": 0.8}
