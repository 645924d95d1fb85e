"""From the tables of the theory to its figures."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.figure import Figure

from equal_losses.figures import theory
from equal_losses.figures.style import loss_styles
from equal_losses.figures.theory.geometry import CLASS_COLORS
from equal_losses.study.kinds import arguments, kinds

from ..theory.small_study import tables
from .legible import assert_legible

PACKAGE = "figures.theory"
KINDS = kinds(PACKAGE)


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_drawn_from_the_tables_that_they_name(kind):
    drawn = theory.load(kind)(*(tables()[table] for table in arguments(PACKAGE, kind)))
    assert isinstance(drawn, Figure)
    assert_legible(drawn)


@pytest.mark.parametrize(
    "kind", ["contrastive_property", "geometry", "margin_regularisation", "margins", "ufm_descent"]
)
def test_figures_of_24_losses_can_be_read(kind):
    parts = []
    for table in (tables()[name] for name in arguments(PACKAGE, kind)):
        of_loss = table[table["loss"] == "CE"]
        parts.append(pd.concat([of_loss.assign(loss=f"loss_{number}") for number in range(24)], ignore_index=True))
    assert_legible(theory.load(kind)(*parts))


def test_a_loss_without_a_closed_form_is_drawn_without_the_error_of_its_margin():
    (descent,) = (tables()[table] for table in arguments(PACKAGE, "ufm_descent"))
    unknown = descent[descent["loss"] == "CE"].assign(loss="OTHER", margin_error=float("nan"), nc3=float("nan"))
    figure = theory.load("ufm_descent")(pd.concat([descent, unknown], ignore_index=True))
    figure.draw_without_rendering()
    lines = [len(axis.lines) for axis in figure.axes]
    assert lines == [lines[0], lines[0], lines[0] - 1, lines[0] - 1]


def test_classes_have_colours_of_their_own():
    assert not set(CLASS_COLORS) & {look["color"] for look in loss_styles(range(24)).values()}


@pytest.mark.parametrize("kind", KINDS)
def test_figures_need_no_other_tables_than_those_of_the_theory(kind):
    assert set(arguments(PACKAGE, kind)) <= set(kinds("theory.steps"))


def test_a_loss_without_a_tie_is_said_to_have_none():
    definition = tables()["definition"].assign(tie_c=float("nan"))
    drawn = theory.load("focal_tie")(tables()["curves"], definition)
    assert [text.get_text() for text in drawn.axes[0].texts] == ["no tie was found"]
