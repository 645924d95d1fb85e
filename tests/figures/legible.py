"""What can be read on a figure as it is written."""

from __future__ import annotations

from itertools import pairwise

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator


def assert_legible(figure: Figure) -> None:
    """Nothing is cut off, axes of numbers have three labels or more, and no label hides another."""
    figure.draw_without_rendering()
    every_axis = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    ticks = {
        id(label) for axis in every_axis for tick in axis.get_major_ticks() for label in (tick.label1, tick.label2)
    }
    texts = [text for text in figure.findobj(Text) if id(text) not in ticks]
    for axis in every_axis:
        shown = tick_labels(axis)
        names = [label.get_text() for label in shown]
        assert len(set(names)) == len(names), names
        assert not shown or len(shown) >= 3 or isinstance(axis.get_major_locator(), FixedLocator), names
        assert not axis.get_offset_text().get_text()
        visible = [label for label in shown if label.get_visible()]
        for one, other in pairwise(visible):
            assert not one.get_window_extent().overlaps(other.get_window_extent()), (one, other)
        texts += visible
    for text in texts:
        if text.get_visible() and text.get_text():
            box, edge = text.get_window_extent(), figure.bbox.padded(1)
            assert edge.x0 <= box.x0 and box.x1 <= edge.x1 and edge.y0 <= box.y0 and box.y1 <= edge.y1, text
            assert text.get_fontsize() >= 6


def tick_labels(axis: Axis) -> list[Text]:
    """Labels of the ticks within the limits, those that another panel shows included."""
    low, high = sorted(axis.get_view_interval())
    ticks = axis.get_major_ticks(len(axis.get_majorticklocs()))
    return [tick.label1 for tick in ticks if low <= tick.get_loc() <= high and tick.label1.get_text()]
