"""The style that all figures share."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.figure import Figure

from equal_losses.figures.style import log_ticks, loss_styles

from .legible import assert_legible, tick_labels


@pytest.mark.parametrize("pair", list(combinations(["color", "linestyle", "marker"], 2)))
def test_any_two_of_colour_line_and_marker_tell_24_losses_apart(pair):
    assert len({tuple(style[name] for name in pair) for style in loss_styles(range(24)).values()}) == 24


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.55, 1.27, ["0.6", "0.8", "1", "1.2"]),
        (0.4, 4, ["0.5", "1", "2"]),
        (0.09, 11, ["0.1", "1", "10"]),
        (1.5e-5, 1.2e-4, ["$2 \\times 10^{-5}$", "$5 \\times 10^{-5}$", "$10^{-4}$"]),
        (1e-12, 30, ["$10^{-12}$", "$10^{-9}$", "$10^{-6}$", "$10^{-3}$", "$10^{0}$"]),
    ],
)
def test_a_logarithmic_axis_has_three_labels_whatever_its_range(low, high, labels):
    axes = Figure().subplots()
    axes.set(xscale="log", xlim=(low, high))
    log_ticks(axes.xaxis)
    axes.figure.draw_without_rendering()
    assert [label.get_text() for label in tick_labels(axes.xaxis)] == labels


@pytest.mark.parametrize("values", [[0.7], [1, 1 + 1e-9]])
def test_a_logarithmic_axis_of_equal_values_has_three_labels_too(values):
    figure = Figure()
    axes = figure.subplots()
    axes.plot(values)
    axes.set_yscale("log")
    log_ticks(axes.yaxis)
    axes.set_xticks([])
    assert_legible(figure)
