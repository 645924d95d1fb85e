"""Tables of a run and of an experiment. Nothing here imports PyTorch, and only what makes a table imports pandas.

Columns of both tables of an experiment: experiment, dataset, network, loss, width (multiplier), epochs (budget), seed.
`runs.csv` has a row a run, `trajectories.csv` a row a snapshot. Accuracies are shares in 0..1, the metrics are
dimensionless (see `metrics.metrics_from_statistics`), times are in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError
from .files import atomic_path, read_json
from .metrics import FeatureStatistics, metrics_from_statistics

if TYPE_CHECKING:
    import pandas as pd

UNTRAINED = "untrained"  # in the table `alignment`, what stands for the loss of a network before training
BEST = "best"  # name of the snapshot with the best validation accuracy; the others are named after their epoch

_IDENTITY = ["experiment", "dataset", "network", "loss", "width", "epochs", "seed"]


def write(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, every digit kept, atomically."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)


def metrics_of_snapshots(features: str | Path) -> pd.DataFrame:
    """A row a snapshot of a `features.npz` (see `features.extract`): snapshot, epoch, accuracies and all metrics."""
    import pandas as pd

    with np.load(features) as archive:
        arrays = {name: archive[name] for name in archive.files}
    leading = ["snapshot", "epoch", "accuracy_train", "accuracy_val", "accuracy_test"]
    rows = []
    for index in range(len(arrays["snapshot"])):
        statistics = FeatureStatistics(**{field.name: arrays[field.name][index] for field in fields(FeatureStatistics)})
        rows.append({name: arrays[name][index] for name in leading} | metrics_from_statistics(statistics))
    return pd.DataFrame(rows)


def require_complete(table: pd.DataFrame) -> None:
    """Raise InputError, naming what is missing, unless a table has every (loss, width, epochs, seed) of its grid."""
    axes = ["loss", "width", "epochs", "seed"]
    grid = product(*(table[axis].unique() for axis in axes))
    missing = sorted(set(grid) - set(table[axes].itertuples(index=False, name=None)), key=str)
    if missing:
        names = "; ".join(
            f"{loss} width {width:g} epochs {epochs} seed {seed}" for loss, width, epochs, seed in missing
        )
        raise InputError(f"table of {table['experiment'].iloc[0]}: missing runs: {names}; allowed: the whole grid")


def collect(run_records: Iterable[str | Path], metrics: Iterable[str | Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `runs` and `trajectories` of an experiment.

    Args:
        run_records: the run.json of each run.
        metrics: the nc_metrics.csv of each run, in the same order.

    Returns:
        runs: the identity, best_epoch, accuracy_val and accuracy_test of the best snapshot, and of the last one
        final_accuracy_train, final_accuracy_val, final_accuracy_test and every metric; then weight_decay and
        train_seconds.
        trajectories: the identity, epoch, accuracies and metrics of every snapshot but the best.
    """
    import pandas as pd

    runs, trajectories = [], []
    for record_path, metrics_path in zip(run_records, metrics, strict=True):
        record = read_json(record_path)
        snapshots = pd.read_csv(metrics_path, dtype={"snapshot": str})
        identity = {name: record[name] for name in _IDENTITY}
        is_best = snapshots["snapshot"] == BEST
        best = snapshots[is_best].iloc[0]
        path = snapshots[~is_best].drop(columns="snapshot")
        last = path.iloc[-1]
        values = ["accuracy_train", "accuracy_val", "accuracy_test"]
        runs.append(
            identity
            | {"best_epoch": int(best["epoch"]), **{name: best[name] for name in values[1:]}}
            | {f"final_{name}": last[name] for name in values}
            | last.drop(["epoch", *values]).to_dict()
            | {"weight_decay": record["settings"]["weight_decay"], "train_seconds": record["train_seconds"]}
        )
        for offset, (name, value) in enumerate(identity.items()):
            path.insert(offset, name, value)
        trajectories.append(path)
    return pd.DataFrame(runs), pd.concat(trajectories, ignore_index=True)
