"""From features to the tables of an experiment, and from tables to figures."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from neural_collapse import figures, plotstyle, tables
from neural_collapse.equivalence import collapse_and_accuracy, pairwise_equivalence
from neural_collapse.errors import InputError
from neural_collapse.files import write_json
from neural_collapse.metrics import collapse_metrics, feature_statistics
from neural_collapse.provenance import Codebase

from .test_metrics import clustered


@pytest.fixture
def experiment(tmp_path):
    """Records and metrics of a grid of 2 losses x 2 widths x 2 budgets x 2 seeds."""
    records, metrics = [], []
    record = {"settings": {"weight_decay": 5e-4}, "train_seconds": 10.0}
    names = list(collapse_metrics(*clustered(3, 4, 5)))
    number = 0
    for loss in ("CE", "MSE"):
        for width in (0.5, 1):
            for epochs in (4, 8):
                for seed in (1, 2):
                    number += 1
                    folder = tmp_path / str(number)
                    identity = {"experiment": "toy", "dataset": "digits", "network": "small_resnet"}
                    grid = {"loss": loss, "width": width, "epochs": epochs, "seed": seed}
                    write_json(folder / "run.json", identity | grid | record)
                    rows = [
                        {"snapshot": str(epoch), "epoch": epoch, "accuracy_train": 1.0, "accuracy_val": 0.9}
                        | {"accuracy_test": 0.8 + epoch / 100 + number / 1000}
                        | dict.fromkeys(names, 1 / (1 + epoch))
                        for epoch in (0, epochs // 2, epochs)
                    ]
                    rows.append({**rows[1], "snapshot": "best"})
                    tables.write(folder / "nc_metrics.csv", pd.DataFrame(rows))
                    records.append(folder / "run.json")
                    metrics.append(folder / "nc_metrics.csv")
    return tables.collect(records, metrics)


def test_metrics_of_snapshots_are_those_of_their_features(tmp_path):
    data = [clustered(3, 4, 5, seed=seed) for seed in (0, 1)]
    statistics = [vars(feature_statistics(*part)) for part in data]
    arrays = {key: np.stack([part[key] for part in statistics]) for key in statistics[0]}
    leading = {"snapshot": ["0", "best"], "epoch": [0, 5]}
    leading |= {f"accuracy_{split}": [0.1, 0.2] for split in ("train", "val", "test")}
    np.savez(tmp_path / "features.npz", **leading, **arrays)
    table = tables.metrics_of_snapshots(tmp_path / "features.npz")
    assert table["snapshot"].tolist() == ["0", "best"]
    for row, part in enumerate(data):
        for name, value in collapse_metrics(*part).items():
            assert table[name][row] == value


def test_runs_report_the_best_model_and_the_last(experiment):
    runs, _ = experiment
    assert len(runs) == 16
    row = runs.iloc[-1]
    assert (row["loss"], row["width"], row["epochs"], row["seed"]) == ("MSE", 1, 8, 2)
    assert row["best_epoch"] == 4
    assert row["accuracy_test"] == pytest.approx(0.8 + 4 / 100 + 16 / 1000)
    assert row["final_accuracy_test"] == pytest.approx(0.8 + 8 / 100 + 16 / 1000)
    assert row["nc1"] == 1 / 9


def test_trajectories_have_a_row_a_snapshot_and_not_the_best_twice(experiment):
    _, trajectories = experiment
    assert len(trajectories) == 16 * 3
    assert not trajectories.duplicated(["loss", "width", "epochs", "seed", "epoch"]).any()


def test_a_table_is_written_with_every_digit(tmp_path):
    table = pd.DataFrame({"value": [0.1 + 0.2, 1e-17 / 3]})
    tables.write(tmp_path / "t.csv", table)
    assert pd.read_csv(tmp_path / "t.csv")["value"].tolist() == table["value"].tolist()


def aligned(runs: pd.DataFrame) -> pd.DataFrame:
    """A table `alignment` of the runs' largest configuration."""
    largest = runs[(runs["width"] == runs["width"].max()) & (runs["epochs"] == runs["epochs"].max())]
    models = list(largest[["loss", "seed"]].itertuples(index=False, name=None))
    pairs = [("untrained", *model, tables.UNTRAINED, model[1]) for model in models]
    for (first, one), (second, other) in combinations(models, 2):
        comparison = "seeds" if first == second else "losses" if one == other else "losses_other_seed"
        pairs.append((comparison, first, one, second, other))
    rows = [
        ("toy", 1, 8, split, part, *pair, 0.5 + 0.01 * number, 1.0)
        for split in ("train", "test")
        for part in ("features", "class_means", "within_class")
        for number, pair in enumerate(pairs)
    ]
    names = "experiment width epochs split part comparison first_loss first_seed second_loss second_seed cka procrustes"
    return pd.DataFrame(rows, columns=names.split())


def drawn(name: str, runs: pd.DataFrame, trajectories: pd.DataFrame):
    """A figure of the tables that its parameters name."""
    parts = {
        "runs": runs,
        "trajectories": trajectories,
        "alignment": aligned(runs),
        "equivalence": pairwise_equivalence(runs, margin=0.01, significance=0.05),
        "correlation": collapse_and_accuracy(runs, significance=0.05, resamples=100, seed=0),
    }
    return getattr(figures, name)(**{table: parts[table] for table in Codebase().arguments("figures", name)})


@pytest.mark.parametrize("name", Codebase().functions("figures"))
def test_every_figure_is_drawn_and_written_the_same_twice(experiment, tmp_path, name):
    for copy in ("a", "b"):
        figure = drawn(name, *experiment)
        plotstyle.save(figure, *(tmp_path / f"{copy}.{suffix}" for suffix in ("pdf", "png")))
    for suffix in ("pdf", "png"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert figure.get_suptitle().startswith("toy: ")


def test_nc_evolution_draws_the_mean_over_seeds_of_the_largest_configuration(experiment):
    figure = figures.nc_evolution(experiment[1])
    panel = figure.axes[0]
    assert [line.get_label() for line in panel.get_lines()] == ["CE", "MSE"]
    epochs, values = panel.get_lines()[0].get_data()
    assert epochs.tolist() == [0, 4, 8]
    assert values.tolist() == pytest.approx([1, 1 / 5, 1 / 9])


def test_test_accuracy_has_one_colour_scale_and_names_each_panel(experiment):
    figure = figures.test_accuracy(experiment[0])
    panels = [axis for axis in figure.axes if axis.get_images()]
    assert [panel.get_title() for panel in panels] == ["CE", "MSE"]
    scales = {panel.get_images()[0].norm for panel in panels}
    assert len(scales) == 1
    cells = panels[1].get_images()[0].get_array()
    assert cells[1, 1] == pytest.approx(100 * (0.8 + 4 / 100 + (15 + 16) / 2 / 1000))


def test_accuracy_gap_is_against_the_first_loss(experiment):
    figure = figures.accuracy_gap(experiment[0])
    (panel,) = [axis for axis in figure.axes if axis.get_images()]
    assert panel.get_title() == "MSE"
    assert panel.get_images()[0].get_array().flatten().tolist() == pytest.approx([100 * 8 / 1000] * 4)


def test_an_incomplete_grid_is_an_error_that_names_what_is_missing(experiment):
    runs, _ = experiment
    tables.require_complete(runs)
    with pytest.raises(InputError, match=r"toy: missing runs: CE width 0.5 epochs 4 seed 2; MSE width 1 epochs 8 seed"):
        tables.require_complete(runs.drop(index=[1, 15]))


def test_one_loss_alone_is_drawn_too(experiment):
    runs, trajectories = (table[table["loss"] == "CE"] for table in experiment)
    for name in Codebase().functions("figures"):
        drawn(name, runs, trajectories)


def test_equivalence_shows_the_interval_and_the_verdict_of_each_pair(experiment):
    runs, _ = experiment
    table = pairwise_equivalence(runs, margin=0.5, significance=0.05)
    table.loc[0, "verdict"] = "different"
    panels = figures.equivalence(table).axes
    assert [panel.get_title() for panel in panels] == [f"width {w}, {e} epochs" for w in ("0.5", "1") for e in (4, 8)]
    markers = [line.get_marker() for line in panels[0].get_lines() if line.get_marker() != "None"]
    assert markers == ["X"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["CE − MSE"]


def test_alignment_has_other_losses_off_the_diagonal_and_the_controls_beside_them(experiment):
    table = aligned(experiment[0])
    panels = [axis for axis in figures.alignment_cka(table).axes if axis.get_images()]
    assert len(panels) == 6
    cells = panels[0].get_images()[0].get_array()
    own = table[(table["split"] == "train") & (table["part"] == "features")]
    means = own.groupby("comparison")["cka"].mean()
    assert cells[0, 1] == pytest.approx(means["losses"])
    assert cells[1, 0] == pytest.approx(means["losses_other_seed"])
    of_ce = own[(own["first_loss"] == "CE")]
    assert cells[0, 0] == pytest.approx(of_ce.loc[of_ce["comparison"] == "seeds", "cka"].mean())
    assert cells[0, 2] == pytest.approx(of_ce.loc[of_ce["comparison"] == "untrained", "cka"].mean())


def test_losses_differ_without_colour():
    styles = plotstyle.loss_styles(["CE", "FL", "LS", "MSE"])
    assert len({str(style["linestyle"]) for style in styles.values()}) == 4
    assert len({style["marker"] for style in styles.values()}) == 4
