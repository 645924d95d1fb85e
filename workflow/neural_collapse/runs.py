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
    members: Sequence[Mapping],
    dataset: PreparedDataset,
    *,
    keys: Sequence[str],
    stems: Sequence[Path],
    until: int,
    snapshot_epochs: Iterable[int],
    snapshots: Sequence[Path],
    scratch: Path,
    device: str,
    threads: int,
    checkpoint_minutes: float,
    compile: bool,
    cuda_graphs: bool,
    report: Callable[[int], Callable[[Sequence[Mapping[str, float]]], None]],
) -> Iterator[list[training.TrainingState]]:
    """Train from stems' states, or from the beginning, to `until` epochs, and hand the states to the `with` block.

    The state of an unfinished training is kept in `scratch` every `checkpoint_minutes` and when the job is told to stop
    (KeyboardInterrupt): that of the last completed epoch, which is in memory and needs no more time than writing takes.
    A training that finds such a state goes on from it and ends with the same bits. At the end of the `with` block, when
    the results are written, the snapshots move to the folders `snapshots` and everything in scratch goes.

    Args:
        members: settings of the runs that are trained as one (see `training.train_together`), or of a single one.
        keys: name the trainings' code (see `study.Run.train_key`); a checkpoint of other keys, other settings or other
            data is not used.
        stems: the state that each member starts from; none where they start from the beginning.
        snapshot_epochs: completed epochs at which the weights are kept.
        snapshots: a folder for each member.
        scratch: folder for what must survive an interruption, inside a folder that is this training's alone.
        device, threads, checkpoint_minutes, compile, cuda_graphs: the section `compute` of the study.
        report: called with the epoch at which training starts; answers what to call with the rows of each epoch.

    Raises:
        InputError: where another process is at this training, or a loss is not finite.
    """
    wanted = set(snapshot_epochs)
    taken = [scratch / "snapshots" / str(index) for index in range(len(members))]
    for folder in taken:
        folder.mkdir(parents=True, exist_ok=True)
    resolved = training.resolve_device(device)
    # The keys leave open what is known only when the job runs: a chosen weight decay, and the data themselves.
    state_key = digest([list(keys), list(members), dataset.manifest["sha256"]])
    checkpoints = Checkpoints(scratch, state_key, checkpoint_minutes)
    with _alone(scratch):
        for other in sorted(set(scratch.parent.iterdir()) - {scratch}):
            print(f"warning: {other}: checkpoints of other settings or code; left aside until this training is done")
        start = _start(checkpoints, stems, taken, wanted)
        last = start
        begin = 0 if start is None else start[0].epoch
        print(f"training on {_device_name(resolved, threads)} from epoch {begin}")

        def keep(states: list[training.TrainingState]) -> None:
            nonlocal last
            epoch = states[0].epoch
            if epoch in wanted:
                for folder, state in zip(taken, states, strict=True):
                    weights.save(_snapshot(folder, epoch), state.weights, {"epoch": str(epoch)})
            last = states
            if epoch < until:
                checkpoints.offer(states)

        try:
            with training.reproducible(threads, compiled=compile):
                states = training.train_together(
                    members,
                    dataset,
                    device=resolved,
                    start=start,
                    until=until,
                    compiled=compile,
                    cuda_graphs=cuda_graphs,
                    on_epoch=keep,
                    report=report(begin),
                )
            yield states
        except KeyboardInterrupt:
            if last is not None:
                checkpoints.write(last)
                print(f"kept the state after epoch {last[0].epoch} in {scratch}", flush=True)
            raise
        for own, folder in zip(taken, snapshots, strict=True):
            if folder.exists():
                shutil.rmtree(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            own.rename(folder)
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


def _start(
    checkpoints: Checkpoints, stems: Sequence[Path], taken: Sequence[Path], wanted: set[int]
) -> list[training.TrainingState] | None:
    """The newest checkpoint whose snapshots are all there, or else the stems' states, or None for the beginning."""
    first = [training.TrainingState.load(stem) for stem in stems]

    def check(epoch: int) -> None:
        own = (each for each in wanted if each <= epoch and (not first or each > first[0].epoch))
        for path in (_snapshot(folder, each) for each in sorted(own) for folder in taken):
            if not path.exists():
                raise InputError(f"{path}: missing; it belongs to the checkpoint of a later epoch")

    states = checkpoints.newest(check)
    if states is not None:
        return states
    for folder in taken:
        shutil.rmtree(folder)
        folder.mkdir()
    return first or None


def write_run(
    state: training.TrainingState,
    settings: Mapping,
    dataset: PreparedDataset,
    *,
    key: str,
    identity: Mapping,
    trained_together: int,
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
        trained_together: how many runs were trained as one, this one among them.
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
            "trained_together": trained_together,
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
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {threads} thread" + ("" if threads == 1 else "s")


def _snapshot(folder: Path, epoch: int) -> Path:
    return folder / f"epoch{epoch:05d}.safetensors"


def _commit() -> str | None:
    """The commit of the code, "+" behind it if the files differ from it; None outside a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
