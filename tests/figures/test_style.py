"""The style that all figures share."""

from __future__ import annotations

from equal_losses.figures.style import loss_styles


def test_losses_differ_without_colour():
    styles = loss_styles(["CE", "FL", "LS", "MSE"])
    assert len({str(style["linestyle"]) for style in styles.values()}) == 4
    assert len({style["marker"] for style in styles.values()}) == 4
