"""Tables of a run and of an experiment. Only what reads or makes a table imports pandas.

Columns of both tables of an experiment: experiment, dataset, network, loss, width (multiplier), epochs (budget), seed.
`runs.csv` has one row per run, `trajectories.csv` one row per snapshot. Accuracies are shares in 0..1, the metrics are
dimensionless (see `metrics.collapse.metrics_from_statistics`), times are in seconds.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache, partial
from io import StringIO
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from equal_losses.metrics import BEST
from equal_losses.metrics.collapse import metrics_from_statistics
from equal_losses.metrics.feature_statistics import FeatureStatistics
from equal_losses.running.errors import InputError
from equal_losses.running.files import atomic_path, read_json
from equal_losses.running.words import run_at

if TYPE_CHECKING:
    import pandas as pd

_IDENTITY = ["experiment", "dataset", "network", "loss", "width", "epochs", "seed"]
_ACCURACIES = ["accuracy_train", "accuracy_val", "accuracy_test"]
# What readers of the tables of an experiment rely on; `runs` and `trajectories` have every other metric as well.
_METRICS = ["nc1", "nc2", "nc3", "nc2_centered", "nc3_centered"]
COLUMNS = {
    "runs": [*_IDENTITY, "accuracy_test", *(f"final_{name}" for name in _ACCURACIES), *_METRICS],
    "trajectories": [*_IDENTITY, "epoch", *_ACCURACIES, *_METRICS],
    "equivalence": [
        *("experiment", "width", "epochs", "first_loss", "second_loss", "seeds", "verdict", "difference"),
        *("interval_low", "interval_high", "p_equivalence", "p_difference"),
        *("margin", "equivalence_level", "difference_level"),
    ],
    "correlation": ["experiment", "metric", "held", "runs", "correlation", "interval_low", "interval_high"],
    "alignment": [
        *("experiment", "dataset", "network", "width", "epochs", "comparison", "split", "part"),
        *("first_loss", "first_seed", "second_loss", "second_seed", "cka", "procrustes"),
    ],
}

# Columns of names, which stay names even where they read like numbers or like nothing: 10, inf, NA, None.
_NAMES = ["experiment", "dataset", "network", "loss", "first_loss", "second_loss", "snapshot"]


def write(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, every digit kept, atomically."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)


def read(path: str | Path, columns: Iterable[str] = ()) -> pd.DataFrame:
    """Read a table that `write` wrote. Empty fields are missing values, and nothing else is.

    Args:
        columns: what the table must have at least.

    Raises:
        InputError: where the file is missing, not a table, cut off, or has not all of the columns.
    """
    import pandas as pd

    try:
        text = Path(path).read_text(encoding="utf-8")
        head, *rows = csv.reader(StringIO(text), strict=True) if text.strip() else [[]]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a table") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text; expected a table as CSV") from error
    except csv.Error as error:
        raise InputError(f"{path}: {error}; expected a table as CSV") from error
    if not head:
        raise InputError(f"{path}: empty; expected a table as CSV")
    missing = [column for column in columns if column not in head]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; expected the table as it was written")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(head):
            raise InputError(f"{path}: row {number} has {len(row)} fields; expected {len(head)}")
    if not text.endswith("\n"):
        raise InputError(f"{path}: cut off in row {len(rows)}; expected the table as it was written")
    return pd.read_csv(StringIO(text), dtype=dict.fromkeys(_NAMES, str), keep_default_na=False, na_values=[""])


def metrics_of_snapshots(features: str | Path) -> pd.DataFrame:
    """One row per snapshot of a run, with its epoch, accuracies and metrics, from `features.npz` (see
    `metrics.extraction`).

    Raises:
        InputError: where the file is missing, cut off or something else.
    """
    import pandas as pd

    leading = ["snapshot", "epoch", *_ACCURACIES]
    names = [field.name for field in fields(FeatureStatistics)]
    try:
        with np.load(features) as archive:
            arrays = {name: archive[name] for name in leading + names}
        snapshots = [dict(zip(arrays, values, strict=True)) for values in zip(*arrays.values(), strict=True)]
    except Exception as error:  # NumPy and zipfile raise nearly anything on a file that is damaged or not theirs
        raise InputError(f"{features}: {error}; expected the features as they were written") from error
    statistics = [FeatureStatistics(*(snapshot.pop(name) for name in names)) for snapshot in snapshots]
    return pd.DataFrame([row | metrics_from_statistics(each) for row, each in zip(snapshots, statistics, strict=True)])


def require_complete(table: pd.DataFrame) -> None:
    """Raise InputError, naming what is missing, unless a table has every (loss, width, epochs, seed) of its grid."""
    axes = ["loss", "width", "epochs", "seed"]
    grid = product(*(table[axis].unique() for axis in axes))
    missing = sorted(set(grid) - set(table[axes].itertuples(index=False, name=None)), key=str)
    if missing:
        names = "; ".join(run_at(*point) for point in missing)
        raise InputError(f"table of {table['experiment'].iloc[0]}: missing runs: {names}; expected the whole grid")


def collect(
    identities: Iterable[Mapping],
    records: Iterable[str | Path],
    metrics: Iterable[str | Path],
    places: Iterable[int],
    folders: Iterable[str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `runs` and `trajectories` of an experiment, from what each of its runs left, all in one order.

    Args:
        identities: experiment, dataset, network, loss, width, epochs and seed.
        records, metrics: the run.json, and the table of metrics, which the runs of a stack share.
        places: which of the runs in that table, counted from 0.
        folders: where the run is.

    Returns:
        runs: the identity, best_epoch, accuracy_val and accuracy_test of the best snapshot, and of the last one
        final_accuracy_train, final_accuracy_val, final_accuracy_test and every metric; then weight_decay,
        learning_rate, train_seconds and folder.
        trajectories: the identity, epoch, accuracies and metrics of every snapshot but the best.

    Raises:
        InputError: where a file is missing, cut off or something else.
    """
    import pandas as pd

    runs, trajectories = [], []
    read_once = cache(partial(read, columns=["place", "snapshot", "epoch", *_ACCURACIES]))
    for identity, record, path, place, folder in zip(identities, records, metrics, places, folders, strict=True):
        identity = {name: identity[name] for name in _IDENTITY}
        snapshots = read_once(path)
        snapshots = snapshots[snapshots["place"] == place].drop(columns="place")
        is_best = snapshots["snapshot"] == BEST
        if is_best.sum() != 1 or len(snapshots) == 1:
            raise InputError(f"{path}: {is_best.sum()} of {len(snapshots)} rows are {BEST}; expected 1 of several")
        best = snapshots[is_best].iloc[0]
        trajectory = snapshots[~is_best].drop(columns="snapshot")
        last = trajectory.iloc[-1]
        runs.append(
            identity
            | {"best_epoch": int(best["epoch"]), **{name: best[name] for name in _ACCURACIES[1:]}}
            | {f"final_{name}": last[name] for name in _ACCURACIES}
            | last.drop(["epoch", *_ACCURACIES]).to_dict()
            | _training(record)
            | {"folder": folder}
        )
        trajectories.append(trajectory.assign(**identity)[[*identity, *trajectory]])
    return pd.DataFrame(runs), pd.concat(trajectories, ignore_index=True)


def _training(path: str | Path) -> dict[str, float]:
    """What the table `runs` says of a training."""
    record = read_json(path)
    try:
        chosen = {key: record["settings"][key] for key in ("weight_decay", "learning_rate")}
        return {**chosen, "train_seconds": record["train_seconds"]}
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: {error} is missing; expected the record of a run") from error
