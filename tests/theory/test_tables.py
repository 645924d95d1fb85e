"""The rows of all cases together."""

import pandas as pd

from equal_losses.theory.tables import joined

from .small_study import tables


def test_tables_are_joined_in_their_order():
    assert joined(pd.DataFrame({"name": [name]}) for name in "ba")["name"].tolist() == ["b", "a"]


def test_no_tables_are_an_empty_table():
    assert joined([]).empty


def test_every_curve_of_the_theory_has_its_line():
    lines = tables()["closed_forms"]
    assert set(lines["curve"]) == {"margin", "bias_nc2", "bias_boundary", "threshold"}
    assert set(lines.query("curve == 'margin'")["loss"]) == {"CE", "FL", "MSE"}
