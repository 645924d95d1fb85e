"""A training as a job: from a checkpoint, a trunk or the beginning, to the files that it leaves.

A training leaves in its folder history.csv (one row per epoch), best.safetensors (the weights with the best validation
accuracy), final.safetensors (the last ones), snapshots.safetensors (the weights at some epochs, in tensors named by
epoch, and in a stack by place) and run.json; a trunk leaves state.safetensors and snapshots.safetensors. What survives
an interruption is in the folder `unfinished` there, and goes when everything else is written and sealed.
"""

from __future__ import annotations

import csv
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import torch

from equal_losses import __version__
from equal_losses.datasets.prepared import PreparedDataset
from equal_losses.running import weights
from equal_losses.running.checkpoints import Checkpoints, State, alone
from equal_losses.running.errors import InputError
from equal_losses.running.files import UNFINISHED, atomic_path, remove_leftovers, remove_unfinished, write_json
from equal_losses.running.progress import Progress
from equal_losses.running.shell import Task
from equal_losses.running.sources import ROOT
from equal_losses.running.words import count
from equal_losses.training import loop, numerics
from equal_losses.training.state import TrainingState

STATE, SNAPSHOTS = "state.safetensors", "snapshots.safetensors"

Files = Sequence[str]


def train_run(task: Task, dataset: PreparedDataset, settings: Mapping, trunk: Files | None, compute: Mapping) -> None:
    """Train one run to its end.

    Args:
        task: its settings are `run` (of `study.grid.Run.settings`) and `snapshot_epochs`.
        settings: those of the run, with the weight decay that was chosen.
        trunk: state and snapshots of the trunk that the run goes on from, if there is one.
        compute: the section `compute` of the study.
    """
    epochs = settings["epochs"]
    train = partial(loop.train, settings, dataset)
    with trained(task, train, TrainingState.load, settings, dataset, trunk, epochs, epochs, compute) as state:
        write_run(task.folder, state, settings, dataset, key=task.key, trained_together=1, compute=compute)
        task.seal()


def train_trunk(task: Task, dataset: PreparedDataset, trunk: Files | None, compute: Mapping) -> None:
    """Train what runs of several budgets share, to epoch `to`; arguments as in `train_run`."""
    settings, to = task.settings["run"], task.settings["to"]
    train = partial(loop.train, settings, dataset)
    with trained(task, train, TrainingState.load, settings, dataset, trunk, to, settings["epochs"], compute) as state:
        state.save(task.folder / STATE)
        task.seal()


@contextmanager
def trained(
    task: Task,
    train: Callable[..., State],
    load: Callable[[Path], State],
    settings: Mapping,
    dataset: PreparedDataset,
    trunk: Files | None,
    until: int,
    epochs: int,
    compute: Mapping,
) -> Iterator[State]:
    """Train to `until` of `epochs` epochs, write the snapshots, and hand the state to the `with` block, which seals.

    The state of an unfinished training is kept every `checkpoint_minutes` and when the job is told to stop
    (KeyboardInterrupt): that of the last completed epoch, which is in memory and needs no more time than writing takes.
    A training that finds such a state goes on from it and ends with the same bits.

    Args:
        task: with `snapshot_epochs` among its settings.
        train: `loop.train` or `together.train_together` of settings and data.
        load: reads a state that was saved.
        settings: everything that determines the weights, but for code and data.
        trunk: state and snapshots of the trunk that the training goes on from, if there is one.
        compute: the section `compute` of the study.

    Raises:
        InputError: where another process is at this training, or a loss is not finite.
    """
    folder = task.folder
    wanted = set(task.settings["snapshot_epochs"])
    device = numerics.resolve_device(compute["device"])
    # The key leaves open what is known only when the job runs: a chosen weight decay, and the data themselves.
    inputs = {"task": task.key, "data": dataset.manifest["sha256"]}
    made_of = {"settings": settings, "code": task.ingredients["code"], "inputs": inputs}
    with alone(folder / UNFINISHED):
        remove_leftovers(folder / UNFINISHED)
        checkpoints = Checkpoints(folder / UNFINISHED, made_of, compute["checkpoint_minutes"], load)
        start = _start(checkpoints, load(Path(trunk[0])) if trunk else None, wanted)
        last = start
        begin = 0 if start is None else start.epoch
        print(f"training on {_device_name(device, compute['threads'])} from epoch {begin}")

        def keep(state: State) -> None:
            nonlocal last
            if state.epoch in wanted:
                checkpoints.keep_snapshot(state)
            last = state
            if state.epoch < until:
                checkpoints.offer(state)

        try:
            with numerics.reproducible(compute["threads"], compiled=compute["compile"]):
                state = train(
                    device=device,
                    start=start,
                    until=until,
                    compiled=compute["compile"],
                    cuda_graphs=compute["cuda_graphs"],
                    on_epoch=keep,
                    report=Progress(epochs, begin, until),
                )
            own = [path for epoch in sorted(wanted) if (path := checkpoints.snapshot(epoch)).exists()]
            taken = [*own, *(trunk[1:2] if trunk else [])]
            weights.gather(folder / SNAPSHOTS, taken, lambda name: int(name.partition("/")[0]) in wanted)
            yield state
        except (KeyboardInterrupt, OSError, InputError):
            with suppress(OSError):
                if last is not None:
                    checkpoints.write(last)
                    print(f"kept the state after epoch {last.epoch} in {folder / UNFINISHED}", flush=True)
            raise
    remove_unfinished(folder)


def _start(checkpoints: Checkpoints, trunk: State | None, wanted: set[int]) -> State | None:
    """The newest checkpoint whose snapshots are all whole, or else the trunk's state, or None for the beginning."""

    def check(epoch: int) -> None:
        for each in sorted(each for each in wanted if each <= epoch and (trunk is None or each > trunk.epoch)):
            checkpoints.check_snapshot(each)

    state = checkpoints.newest(check)
    if state is None or (trunk is not None and state.epoch < trunk.epoch):
        checkpoints.remove_snapshots()
        return trunk
    return state


def write_run(
    folder: Path,
    state: TrainingState,
    settings: Mapping,
    dataset: PreparedDataset,
    *,
    key: str,
    trained_together: int,
    compute: Mapping,
) -> list[Path]:
    """Write history, best and last weights, and what the training was, run.json.

    Args:
        key: the key of the training.
        trained_together: how many runs were trained as one, this one among them.

    Returns:
        The files.
    """
    files = [folder / name for name in ("history.csv", "best.safetensors", "final.safetensors", "run.json")]
    history, best, final, record = files
    _write_history(history, state.history)
    weights.save(best, state.best_weights, {"epoch": str(state.best_epoch)})
    weights.save(final, state.weights, {"epoch": str(state.epoch)})
    write_json(
        record,
        {
            "key": key,
            "settings": settings,
            "best_epoch": state.best_epoch,
            "best_val_accuracy": state.best_val_accuracy,
            "train_seconds": round(sum(row["seconds"] for row in state.history), 3),
            "trained_together": trained_together,
            "data_sha256": dataset.manifest["sha256"],
            "device": _device_name(numerics.resolve_device(compute["device"]), compute["threads"]),
            "versions": {
                "equal_losses": __version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
            "commit": _commit(),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
    return files


def _write_history(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    # Without pandas, whose import a training job of a few seconds feels.
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _device_name(device: torch.device, threads: int) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {count(threads, 'thread')}"


def _commit() -> str | None:
    """The commit of the code, "+" behind it if the files differ from it; None outside a git checkout."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
