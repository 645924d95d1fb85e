"""From features to the tables of an experiment, and back from their files."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from equal_losses.metrics.collapse import collapse_metrics
from equal_losses.metrics.feature_statistics import feature_statistics
from equal_losses.running.errors import InputError
from equal_losses.statistics import tables
from equal_losses.statistics.correlation import correlation
from equal_losses.statistics.equivalence import equivalence

from .experiments import alignment_of, runs_on_disk


@pytest.fixture
def experiment(tmp_path):
    """The tables `runs` and `trajectories`."""
    return tables.collect(**runs_on_disk(tmp_path))


# Of the snapshots of a run


def clustered(seed: int) -> tuple[np.ndarray, ...]:
    """15 features of 3 classes in 4 dimensions, their labels, a classifier and its bias."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), 5)
    weight = random.normal(size=(3, 4))
    return weight[labels] + 0.3 * random.normal(size=(15, 4)), labels, weight, random.normal(size=3)


@pytest.fixture
def features(tmp_path):
    """A features.npz with two snapshots."""
    statistics = [vars(feature_statistics(*clustered(seed))) for seed in (0, 1)]
    arrays = {key: np.stack([part[key] for part in statistics]) for key in statistics[0]}
    arrays |= {"snapshot": np.array(["0", "best"]), "epoch": np.array([0, 5])}
    arrays |= {f"accuracy_{split}": np.array([0.1, 0.2]) for split in ("train", "val", "test")}
    np.savez(tmp_path / "features.npz", **arrays)
    return tmp_path / "features.npz"


def test_metrics_of_snapshots_are_those_of_their_features(features):
    table = tables.metrics_of_snapshots(features)
    assert table["snapshot"].tolist() == ["0", "best"]
    for row in (0, 1):
        for name, value in collapse_metrics(*clustered(row)).items():
            assert table[name][row] == value


@pytest.mark.parametrize("size", [0, 1, 100, -1], ids=["empty", "one byte", "the start", "all but one byte"])
def test_features_that_are_cut_off_are_an_error_that_names_the_file(features, size):
    features.write_bytes(features.read_bytes()[:size])
    with pytest.raises(InputError, match=r"^.*features.npz: .*; expected the features as they were written$"):
        tables.metrics_of_snapshots(features)


def test_a_flipped_bit_in_the_features_is_an_error(features):
    content = bytearray(features.read_bytes())
    content[200] ^= 1
    features.write_bytes(content)
    with pytest.raises(InputError, match=r"features.npz: Bad CRC-32"):
        tables.metrics_of_snapshots(features)


def test_other_arrays_in_place_of_features_are_an_error(features):
    np.savez(features, snapshot=["0"])
    with pytest.raises(InputError, match=r"features.npz: .*epoch"):
        tables.metrics_of_snapshots(features)


def test_features_of_which_a_snapshot_is_missing_are_an_error(features):
    with np.load(features) as archive:
        arrays = dict(archive)
    np.savez(features, **{**arrays, "bias": arrays["bias"][:1]})
    with pytest.raises(InputError, match=r"features.npz: .*shorter"):
        tables.metrics_of_snapshots(features)


# Of an experiment


def test_runs_report_the_best_model_and_the_last(experiment):
    runs, _ = experiment
    assert len(runs) == 16
    row = runs.iloc[-1]
    assert (row["loss"], row["width"], row["epochs"], row["seed"]) == ("MSE", 1, 8, 2)
    assert row["best_epoch"] == 4
    assert row["accuracy_test"] == pytest.approx(0.8 + 4 / 100 + 16 / 1000)
    assert row["final_accuracy_test"] == pytest.approx(0.8 + 8 / 100 + 16 / 1000)
    assert row["nc1"] == 1 / 9


def test_runs_name_the_folder_of_each_run_last(experiment, tmp_path):
    runs, _ = experiment
    assert runs.columns[-1] == "folder"
    assert runs["folder"].tolist() == [str(tmp_path / str(number)) for number in range(1, 17)]


def test_trajectories_have_one_row_per_snapshot_and_not_the_best_twice(experiment):
    _, trajectories = experiment
    assert len(trajectories) == 16 * 3
    assert not trajectories.duplicated(["loss", "width", "epochs", "seed", "epoch"]).any()


def test_every_table_has_the_columns_that_its_readers_rely_on(experiment):
    runs, trajectories = experiment
    made = {
        "runs": runs,
        "trajectories": trajectories,
        "alignment": alignment_of(runs),
        "equivalence": equivalence(runs, margin=0.01, significance=0.05),
        "correlation": correlation(runs, significance=0.05, resamples=100, seed=0),
    }
    assert made.keys() == tables.COLUMNS.keys()
    for name, table in made.items():
        assert set(tables.COLUMNS[name]) <= set(table.columns)


def test_metrics_without_the_best_snapshot_are_an_error(tmp_path):
    files = runs_on_disk(tmp_path)
    lines = files["metrics"][5].read_text().splitlines(keepends=True)
    files["metrics"][5].write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match=r"6/nc_metrics.csv: 0 of 3 rows are best; expected 1 of several"):
        tables.collect(**files)


@pytest.mark.parametrize("record", ["{}", '{"settings": null}', '{"settings": {"weight_decay": 1}}'])
def test_a_record_of_something_else_is_an_error(tmp_path, record):
    files = runs_on_disk(tmp_path)
    files["records"][0].write_text(record)
    with pytest.raises(InputError, match=r"1/run.json: .*; expected the record of a run"):
        tables.collect(**files)


def test_an_incomplete_grid_is_an_error_that_names_what_is_missing(experiment):
    runs, _ = experiment
    tables.require_complete(runs)
    with pytest.raises(InputError, match=r"toy: missing runs: CE width 0.5 epochs 4 seed 2; MSE width 1 epochs 8 seed"):
        tables.require_complete(runs.drop(index=[1, 15]))


# From their files


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.csv"


def test_a_table_is_written_with_every_digit(path):
    table = pd.DataFrame({"value": [0.1 + 0.2, 1e-17 / 3]})
    tables.write(path, table)
    assert tables.read(path)["value"].tolist() == table["value"].tolist()


@pytest.mark.parametrize("loss", ["NA", "None", "null", "nan", "inf", "True"])
def test_a_loss_may_have_any_name(tmp_path, loss):
    arguments = runs_on_disk(tmp_path, losses=(loss, "NaN"))
    for name, table in zip(("runs", "trajectories"), tables.collect(**arguments), strict=True):
        tables.write(tmp_path / name, table)
        assert tables.read(tmp_path / name)["loss"].unique().tolist() == [loss, "NaN"]


def test_the_only_loss_may_be_named_like_a_number(path):
    path.write_text("loss\ninf\n")
    assert tables.read(path)["loss"].tolist() == ["inf"]


def test_what_is_missing_among_numbers_is_not_a_number(path):
    path.write_text("loss,low,high\nCE,,1\nMSE,,\n")
    table = tables.read(path)
    assert [f"{kind}" for kind in table.dtypes[1:]] == ["float64", "float64"]
    assert np.isnan(table["low"]).all()


def test_a_table_without_rows_keeps_its_columns(path):
    path.write_text("loss,low\n")
    assert tables.read(path).columns.tolist() == ["loss", "low"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty; expected a table as CSV"),
        (b"\n", "empty; expected a table as CSV"),
        (b"\x89PNG\r\n", "not text; expected a table as CSV"),
        (b'loss,low\n"CE', "unexpected end of data; expected a table as CSV"),
        (b"loss,low\nCE,1\nMSE\n", "row 2 has 1 fields; expected 2"),
        (b"loss,low\nCE,1\nMSE,2,3\n", "row 2 has 3 fields; expected 2"),
        (b"loss,low\nCE,1\nMSE,0.1", "cut off in row 2; expected the table as it was written"),
        (b"low,high\n1,2\n", "no column loss, seed; expected the table as it was written"),
    ],
)
def test_a_file_that_is_no_whole_table_is_an_error_that_names_it(path, content, message):
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}: {message}')}$"):
        tables.read(path, ["loss", "seed"] if b"high" in content else [])


def test_a_missing_table_is_an_error_that_names_it(path):
    with pytest.raises(InputError, match=r"t.csv: No such file or directory; expected a table"):
        tables.read(path)
