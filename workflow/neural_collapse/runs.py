"""A run on disk: its training, with snapshots on the way, and the files that it leaves."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from . import __version__, tables, training, weights
from .errors import InputError
from .files import write_json
from .preparation import PreparedDataset


def train_segment(
    settings: Mapping,
    dataset: PreparedDataset,
    *,
    stem: Path | None,
    until: int,
    snapshot_epochs: Iterable[int],
    snapshots: Path,
    scratch: Path,
    device: str,
    threads: int,
    report: Callable[[int], Callable[[Mapping[str, float]], None]],
) -> training.TrainingState:
    """Train from a stem's state, or from the beginning, to `until` epochs; leave snapshots in the folder `snapshots`.

    Args:
        stem: the state to start from, if any.
        snapshot_epochs: completed epochs at which the weights are kept.
        scratch: folder for what must survive an interruption, and is removed at the end.
        report: called with the epoch at which training starts; answers what to call with each row of the history.
    """
    start = None if stem is None else training.TrainingState.load(stem)
    wanted = set(snapshot_epochs)
    taken = scratch / "snapshots"
    taken.mkdir(parents=True, exist_ok=True)

    def keep_snapshot(epoch: int, network: torch.nn.Module) -> None:
        if epoch in wanted:
            weights.save(_snapshot(taken, epoch), network.state_dict(), {"epoch": str(epoch)})

    with training.reproducible(threads):
        state = training.train(
            settings,
            dataset,
            device=training.resolve_device(device),
            start=start,
            until=until,
            on_epoch=keep_snapshot,
            report=report(0 if start is None else start.epoch),
        )
    if snapshots.exists():
        shutil.rmtree(snapshots)
    snapshots.parent.mkdir(parents=True, exist_ok=True)
    taken.rename(snapshots)
    shutil.rmtree(scratch)
    return state


def write_run(
    state: training.TrainingState,
    settings: Mapping,
    dataset: PreparedDataset,
    *,
    identity: Mapping,
    device: str,
    threads: int,
    history: Path,
    best: Path,
    final: Path,
    record: Path,
) -> None:
    """Write a finished run: its history, its best and its last weights and, last of all, the record run.json.

    Args:
        identity: what the run is called: experiment, dataset, network, loss, width.
    """
    tables.write(history, pd.DataFrame(state.history))
    weights.save(best, state.best_weights, {"epoch": str(state.best_epoch)})
    weights.save(final, state.weights, {"epoch": str(state.epoch)})
    resolved = training.resolve_device(device)
    write_json(
        record,
        {
            **identity,
            "epochs": settings["epochs"],
            "seed": settings["seed"],
            "settings": settings,
            "best_epoch": state.best_epoch,
            "best_val_accuracy": state.best_val_accuracy,
            "train_seconds": round(sum(row["seconds"] for row in state.history), 3),
            "data_sha256": dataset.manifest["sha256"],
            "device": torch.cuda.get_device_name(resolved) if resolved.type == "cuda" else f"CPU, {threads} threads",
            "versions": {
                "neural_collapse": __version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
            "commit": _commit(),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


def snapshot_files(epochs: Iterable[int], folders: Iterable[str | Path], final: Path, best: Path) -> dict[str, Path]:
    """Weight files of a run by snapshot name, in the order of the epochs, the best model last.

    Raises:
        InputError: where a snapshot is missing.
    """
    epochs, folders = sorted(epochs), [Path(folder) for folder in folders]
    files = {}
    for epoch in epochs[:-1]:
        found = [path for folder in folders if (path := _snapshot(folder, epoch)).exists()]
        if not found:
            raise InputError(
                f"snapshot of epoch {epoch}: missing in {', '.join(map(str, folders))}; train the run again"
            )
        files[str(epoch)] = found[0]
    return {**files, str(epochs[-1]): final, tables.BEST: best}


def _snapshot(folder: Path, epoch: int) -> Path:
    return folder / f"epoch{epoch:05d}.safetensors"


def _commit() -> str | None:
    """The commit of the code, "+" behind it if the files differ from it; None outside a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
