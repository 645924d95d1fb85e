"""From the tables of an experiment to its figures."""

from __future__ import annotations

import inspect
import pkgutil

import pandas as pd
import pytest
from matplotlib.figure import Figure

from equal_losses.figures import experiment, style
from equal_losses.statistics import tables
from equal_losses.statistics.correlation import correlation
from equal_losses.statistics.equivalence import equivalence

from ..statistics.experiments import alignment_of, runs_on_disk
from .legible import assert_legible, tick_labels

KINDS = [module.name for module in pkgutil.iter_modules(experiment.__path__) if not module.name.startswith("_")]


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> dict[str, pd.DataFrame]:
    """Every table of a small experiment."""
    return tables_of(*tables.collect(**runs_on_disk(tmp_path_factory.mktemp("toy"))))


def tables_of(runs: pd.DataFrame, trajectories: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {
        "runs": runs,
        "trajectories": trajectories,
        "alignment": alignment_of(runs),
        "equivalence": equivalence(runs, margin=0.01, significance=0.05),
        "correlation": correlation(runs, significance=0.05, resamples=100, seed=0),
    }


def drawn(kind: str, parts: dict[str, pd.DataFrame]) -> Figure:
    """A figure of the tables that its parameters name."""
    draw = experiment.load(kind)
    return draw(*(parts[table] for table in inspect.signature(draw).parameters))


def test_the_figures_of_the_paper_are_there():
    assert {"nc_evolution", "accuracy_evolution", "test_accuracy"} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_is_drawn_and_written_the_same_twice(toy, tmp_path, kind):
    for copy in ("a", "b"):
        style.save(drawn(kind, toy), *(tmp_path / f"{copy}.{suffix}" for suffix in ("pdf", "png")))
    for suffix in ("pdf", "png"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_says_of_which_experiment_it_is(toy, kind):
    assert drawn(kind, toy).get_suptitle().startswith("toy: ")


@pytest.fixture(scope="module")
def smallest(toy) -> dict[str, pd.DataFrame]:
    """One loss, width, budget and seed."""
    only = "loss == 'CE' and width == 1 and epochs == 8 and seed == 1"
    return tables_of(toy["runs"].query(only), toy["trajectories"].query(only))


@pytest.fixture(scope="module")
def largest(toy) -> dict[str, pd.DataFrame]:
    """As many losses as have a style."""
    only = "loss == 'CE' and epochs == 8"
    names = [f"label_smoothing_{number}" for number in range(24)]
    runs, trajectories = (
        pd.concat([toy[table].query(only).assign(loss=name) for name in names], ignore_index=True)
        for table in ("runs", "trajectories")
    )
    return tables_of(runs, trajectories)


@pytest.fixture(scope="module")
def long_names(toy) -> dict[str, pd.DataFrame]:
    """Losses with names about as long as a configuration may have them."""
    name = "{}_with_a_temperature_and_a_margin_learned_for_every_class"
    return {table: rows.replace({loss: name.format(loss) for loss in ("CE", "MSE")}) for table, rows in toy.items()}


@pytest.mark.parametrize("study", ["smallest", "toy", "largest", "long_names"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_can_be_read_whatever_the_number_and_names_of_losses(study, kind, request):
    assert_legible(drawn(kind, request.getfixturevalue(study)))


@pytest.mark.parametrize(("epochs", "labels"), [([0, 1], ["0", "1", "2"]), ([1], ["0", "1", "2"])])
def test_epochs_are_whole_numbers(toy, epochs, labels):
    figure = drawn("nc_evolution", {"trajectories": toy["trajectories"].head(len(epochs)).assign(epoch=epochs)})
    figure.draw_without_rendering()
    assert [label.get_text() for label in tick_labels(figure.axes[0].xaxis)] == labels


def test_a_band_is_spoken_of_where_there_are_several_seeds(toy, smallest):
    assert drawn("nc_evolution", toy).get_suptitle().endswith("2 seeds (line: mean, band: range)")
    assert drawn("nc_evolution", smallest).get_suptitle().endswith("1 seed")


def test_nc_evolution_draws_the_mean_over_seeds_of_the_largest_configuration(toy):
    panel = drawn("nc_evolution", toy).axes[0]
    assert [line.get_label() for line in panel.get_lines()] == ["CE", "MSE"]
    epochs, values = panel.get_lines()[0].get_data()
    assert epochs.tolist() == [0, 4, 8]
    assert values.tolist() == pytest.approx([1, 1 / 5, 1 / 9])


def heatmaps(figure: Figure) -> list:
    return [axes for axes in figure.axes if axes.get_images()]


def test_test_accuracy_has_one_colour_scale_and_names_each_panel(toy):
    panels = heatmaps(drawn("test_accuracy", toy))
    assert [panel.get_title() for panel in panels] == ["CE", "MSE"]
    assert len({panel.get_images()[0].norm for panel in panels}) == 1
    cells = panels[1].get_images()[0].get_array()
    assert cells[1, 1] == pytest.approx(100 * (0.8 + 4 / 100 + (15 + 16) / 2 / 1000))


def test_accuracy_gap_is_against_the_first_loss(toy):
    (panel,) = heatmaps(drawn("accuracy_gap", toy))
    assert panel.get_title() == "MSE"
    assert panel.get_images()[0].get_array().flatten().tolist() == pytest.approx([100 * 8 / 1000] * 4)


def test_equivalence_shows_the_interval_and_the_verdict_of_each_pair(toy):
    table = equivalence(toy["runs"], margin=0.5, significance=0.05)
    table.loc[0, "verdict"] = "different"
    panels = drawn("equivalence", {**toy, "equivalence": table}).axes
    assert [panel.get_title() for panel in panels] == [f"width {w}, {e} epochs" for w in ("0.5", "1") for e in (4, 8)]
    markers = [line.get_marker() for line in panels[0].get_lines() if line.get_marker() != "None"]
    assert markers == ["X"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["CE − MSE"]


def test_an_interval_that_leaves_the_axis_ends_in_an_arrow(toy):
    table = equivalence(toy["runs"], margin=0.01, significance=0.05).head(1)
    table = table.assign(difference=0.0, interval_low=-0.5, interval_high=0.01)
    (panel,) = drawn("equivalence", {**toy, "equivalence": table}).axes
    arrows = [(line.get_marker(), *line.get_xdata()) for line in panel.get_lines() if line.get_marker() in ("<", ">")]
    assert arrows == [("<", panel.get_xlim()[0])]


def test_pairs_of_many_losses_are_cells_with_the_sign_of_their_verdict(largest):
    table = largest["equivalence"].assign(difference=0.02, verdict="undecided")
    table.loc[0, "verdict"] = "different"
    panel = heatmaps(drawn("equivalence", {**largest, "equivalence": table}))[0]
    cells = panel.get_images()[0].get_array()
    assert (cells[0, 1], cells[1, 0], cells[0, 0]) == pytest.approx((2, -2, 0))
    assert [text.get_position() for text in panel.texts if text.get_text() == "≠"] == [(1, 0), (0, 1)]


def test_alignment_has_other_losses_off_the_diagonal_and_the_controls_beside_them(toy):
    table = toy["alignment"]
    panels = heatmaps(drawn("alignment_cka", toy))
    assert len(panels) == 6
    cells = panels[0].get_images()[0].get_array()
    own = table[(table["split"] == "train") & (table["part"] == "features")]
    means = own.groupby("comparison")["cka"].mean()
    assert cells[0, 1] == pytest.approx(means["losses"])
    assert cells[1, 0] == pytest.approx(means["losses_other_seed"])
    of_ce = own[(own["first_loss"] == "CE")]
    assert cells[0, 0] == pytest.approx(of_ce.loc[of_ce["comparison"] == "seeds", "cka"].mean())
    assert cells[0, 2] == pytest.approx(of_ce.loc[of_ce["comparison"] == "untrained", "cka"].mean())
