"""A run on disk: its training, with snapshots on the way, and the files that it leaves."""

from __future__ import annotations

import csv
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout

from . import __version__, tables, training, weights
from .checkpoints import Checkpoints
from .errors import InputError
from .files import atomic_path, write_json
from .preparation import PreparedDataset
from .provenance import digest


@contextmanager
def trained_segment(
    settings: Mapping,
    dataset: PreparedDataset,
    *,
    key: str,
    stem: Path | None,
    until: int,
    snapshot_epochs: Iterable[int],
    snapshots: Path,
    scratch: Path,
    device: str,
    threads: int,
    checkpoint_minutes: float,
    compile: bool,
    cuda_graphs: bool,
    report: Callable[[int], Callable[[Mapping[str, float]], None]],
) -> Iterator[training.TrainingState]:
    """Train from a stem's state, or from the beginning, to `until` epochs, and hand the state to the `with` block.

    The state of an unfinished training is kept in `scratch` every `checkpoint_minutes` and when the job is told to stop
    (KeyboardInterrupt): that of the last completed epoch, which is in memory and needs no more time than writing takes.
    A training that finds such a state goes on from it and ends with the same bits. At the end of the `with` block, when
    the results are written, the snapshots move to the folder `snapshots` and everything in scratch goes.

    Args:
        key: names the training's code (see `study.Run.train_key`); a checkpoint of another key, other settings or other
            data is not used.
        stem: the state to start from, if any.
        snapshot_epochs: completed epochs at which the weights are kept.
        scratch: folder for what must survive an interruption, inside a folder that is this training's alone.
        device, threads, checkpoint_minutes, compile, cuda_graphs: the section `compute` of the study.
        report: called with the epoch at which training starts; answers what to call with each row of the history.

    Raises:
        InputError: where another process is at this training, or the loss is not finite.
    """
    wanted = set(snapshot_epochs)
    taken = scratch / "snapshots"
    taken.mkdir(parents=True, exist_ok=True)
    resolved = training.resolve_device(device)
    # The key leaves open what is known only when the job runs: a chosen weight decay, and the data themselves.
    state_key = digest([key, settings, dataset.manifest["sha256"]])
    checkpoints = Checkpoints(scratch, state_key, checkpoint_minutes)
    with _alone(scratch):
        for other in sorted(set(scratch.parent.iterdir()) - {scratch}):
            print(f"warning: {other}: checkpoints of other settings or code; left aside until this training is done")
        start = _start(checkpoints, stem, taken, wanted)
        last = start
        print(f"training on {_device_name(resolved, threads)} from epoch {0 if start is None else start.epoch}")

        def keep(state: training.TrainingState) -> None:
            nonlocal last
            if state.epoch in wanted:
                weights.save(_snapshot(taken, state.epoch), state.weights, {"epoch": str(state.epoch)})
            last = state
            if state.epoch < until:
                checkpoints.offer(state)

        try:
            with training.reproducible(threads):
                state = training.train(
                    settings,
                    dataset,
                    device=resolved,
                    start=start,
                    until=until,
                    compiled=compile,
                    cuda_graphs=cuda_graphs,
                    on_epoch=keep,
                    report=report(0 if start is None else start.epoch),
                )
            yield state
        except KeyboardInterrupt:
            if last is not None:
                checkpoints.write(last)
                print(f"kept the state after epoch {last.epoch} in {scratch}", flush=True)
            raise
        if snapshots.exists():
            shutil.rmtree(snapshots)
        snapshots.parent.mkdir(parents=True, exist_ok=True)
        taken.rename(snapshots)
        shutil.rmtree(scratch.parent)


@contextmanager
def _alone(scratch: Path) -> Iterator[None]:
    """Hold the folder for this process; where the file system has no locks, do without."""
    lock = FileLock(scratch / "lock", fallback_to_soft=False)
    with suppress(NotImplementedError):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"{scratch}: another process is at this training; wait for it or end it") from None
    try:
        yield
    finally:
        lock.release()


def _start(checkpoints: Checkpoints, stem: Path | None, taken: Path, wanted: set[int]) -> training.TrainingState | None:
    """The newest checkpoint whose snapshots are all there, or else the stem's state, or None for the beginning."""
    first = None if stem is None else training.TrainingState.load(stem)

    def check(state: training.TrainingState) -> None:
        own = (epoch for epoch in wanted if epoch <= state.epoch and (first is None or epoch > first.epoch))
        for epoch in sorted(own):
            if not _snapshot(taken, epoch).exists():
                raise InputError(f"{_snapshot(taken, epoch)}: missing; it belongs to the checkpoint of a later epoch")

    state = checkpoints.newest(check)
    if state is not None:
        return state
    shutil.rmtree(taken)
    taken.mkdir()
    return first


def write_run(
    state: training.TrainingState,
    settings: Mapping,
    dataset: PreparedDataset,
    *,
    key: str,
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
        key: the key of the training, by which one tells whether the run is up to date.
        identity: what the run is called: experiment, dataset, network, loss, width.
    """
    _write_history(history, state.history)
    weights.save(best, state.best_weights, {"epoch": str(state.best_epoch)})
    weights.save(final, state.weights, {"epoch": str(state.epoch)})
    write_json(
        record,
        {
            **identity,
            "key": key,
            "epochs": settings["epochs"],
            "seed": settings["seed"],
            "settings": settings,
            "best_epoch": state.best_epoch,
            "best_val_accuracy": state.best_val_accuracy,
            "train_seconds": round(sum(row["seconds"] for row in state.history), 3),
            "data_sha256": dataset.manifest["sha256"],
            "device": _device_name(training.resolve_device(device), threads),
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


def _write_history(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    # Without pandas, whose import a training job of a few seconds feels.
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


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


def _device_name(device: torch.device, threads: int) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {threads} threads"


def _snapshot(folder: Path, epoch: int) -> Path:
    return folder / f"epoch{epoch:05d}.safetensors"


def _commit() -> str | None:
    """The commit of the code, "+" behind it if the files differ from it; None outside a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
