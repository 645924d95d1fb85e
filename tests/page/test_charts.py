"""What the charts of the page are drawn from."""

from __future__ import annotations

import json

import numpy as np

from equal_losses.page import charts
from equal_losses.statistics import tables

from ..statistics.experiments import runs_on_disk


def test_every_snapshot_is_there_to_five_digits(tmp_path):
    runs, trajectories = tables.collect(**runs_on_disk(tmp_path))
    shown = charts.data(runs, trajectories)["trajectories"]
    assert shown["epoch"] == trajectories["epoch"].tolist()
    assert shown["loss"] == trajectories["loss"].tolist()
    assert np.allclose(shown["nc1"], trajectories["nc1"], rtol=1e-4)
    assert max(len(f"{value}") for value in shown["nc1"]) <= len("0.00012345")


def test_losses_have_the_colours_of_the_figures(tmp_path):
    from equal_losses.figures.style import loss_styles

    losses = charts.data(*tables.collect(**runs_on_disk(tmp_path)))["losses"]
    assert [loss["color"] for loss in losses] == [style["color"] for style in loss_styles(["CE", "MSE"]).values()]
    assert losses[0]["dash"] != losses[1]["dash"]


def test_what_is_no_number_is_missing_so_that_browsers_can_read_it(tmp_path):
    runs, trajectories = tables.collect(**runs_on_disk(tmp_path))
    runs.loc[0, "nc1"], runs.loc[1, "nc1"] = np.nan, np.inf
    shown = charts.data(runs, trajectories)
    assert shown["heatmap"]["nc1"][:2] == [None, None]
    json.dumps(shown, allow_nan=False)


def test_the_library_cannot_end_the_script_that_it_is_put_into():
    assert "vegaEmbed" in charts.library()
    assert "</script" not in charts.library().lower()
