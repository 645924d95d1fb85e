"""A training as a job: from a checkpoint, a trunk or the beginning, to the files that it leaves.

A training leaves in its folder history.csv (one row per epoch), best.safetensors (the weights with the best validation
accuracy), final.safetensors (the last ones), snapshots.safetensors (the weights at some epochs, in tensors named by
epoch, and in a stack by place) and run.json; a trunk leaves state.safetensors and snapshots.safetensors. What survives
an interruption is in the folder `unfinished` there, and goes when everything else is written and sealed.
"""

import csv
import platform
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from equal_losses import __version__
from equal_losses.datasets.prepared import PreparedDataset
from equal_losses.running import weights
from equal_losses.running.checkpoints import Checkpoints, alone
from equal_losses.running.errors import InputError
from equal_losses.running.files import UNFINISHED, atomic_path, remove_leftovers, remove_unfinished, write_json
from equal_losses.running.progress import Progress
from equal_losses.running.shell import Task
from equal_losses.running.sources import ROOT
from equal_losses.running.words import count
from equal_losses.training import loop, numerics
from equal_losses.training.state import TrainingState, load_states, save_states

STATE, SNAPSHOTS = "state.safetensors", "snapshots.safetensors"

States = list[TrainingState]


def train_run(
    task: Task, dataset: PreparedDataset, settings: Mapping, trunk: Sequence[str] | None, compute: Mapping
) -> None:
    """Train one run, whose files are in the folder of the task itself; everything else is as in `train_runs`."""

    def train(*, start: States | None, **options: object) -> Iterator[States]:
        for state in loop.train(settings, dataset, start=start and start[0], **options):
            yield [state]

    train_runs(task, train, dataset, {"": settings}, trunk, compute)


def train_runs(
    task: Task,
    train: Callable[..., Iterator[States]],
    dataset: PreparedDataset,
    members: Mapping[str, Mapping],
    trunk: Sequence[str] | None,
    compute: Mapping,
) -> None:
    """Train runs as one to their end, or to the end of the trunk that several budgets share.

    The state of an unfinished training is kept every `checkpoint_minutes` and when the job is told to stop
    (KeyboardInterrupt): that of the last completed epoch, which is in memory and needs no more time than writing takes.
    A training that finds such a state goes on from it and ends with the same bits.

    Args:
        task: its settings have `snapshot_epochs` and, of a trunk, the epoch `to`.
        train: `together.train_together` of members and dataset.
        members: by the names of their folders, the settings of the runs (see `study.grid.Run.settings`), with the
            weight decay that was chosen: everything that determines the weights, but for code and data.
        trunk: state and snapshots of the trunk that the training goes on from, if there is one.
        compute: the section `compute` of the study.

    Raises:
        InputError: where another process is at this training, or a loss is not finite.
    """
    folder, wanted = task.folder, set(task.settings["snapshot_epochs"])
    epochs = next(iter(members.values()))["epochs"]
    until = task.settings.get("to", epochs)
    device = numerics.resolve_device(compute["device"])
    on_cpu = f"{_processor()}, {count(compute['threads'], 'thread')}"
    device_name = torch.cuda.get_device_name(device) if device.type == "cuda" else on_cpu
    # The key leaves open what is known only when the job runs: a chosen weight decay, and the data themselves.
    inputs = {"task": task.key, "data": dataset.manifest["sha256"]}
    made_of = {"settings": members, "code": task.ingredients["code"], "inputs": inputs}
    with alone(folder / UNFINISHED):
        remove_leftovers(folder / UNFINISHED)
        checkpoints = Checkpoints(folder / UNFINISHED, made_of, compute["checkpoint_minutes"])
        last = states = _start(checkpoints, load_states(Path(trunk[0])) if trunk else None, wanted)
        begin = last[0].epoch if last else 0
        print(f"training on {device_name} from epoch {begin}", flush=True)
        report = Progress(epochs, begin, until)
        how = {"compiled": compute["compile"], "cuda_graphs": compute["cuda_graphs"]}
        try:
            with numerics.reproducible(compute["threads"], compiled=compute["compile"]):
                for states in train(device=device, start=last, until=until, **how):
                    epoch = states[0].epoch
                    if epoch in wanted:
                        checkpoints.keep_snapshot(epoch, _snapshot(members, states))
                    last = states
                    if epoch < until:
                        checkpoints.offer(epoch, partial(save_states, states=states))
                    for name, state in zip(members, states, strict=True):
                        for row in state.history[-1:]:
                            report(row, name)
            taken = [path for epoch in wanted if (path := checkpoints.snapshot(epoch)).exists()]
            _gather(folder / SNAPSHOTS, [*(trunk[1:2] if trunk else []), *taken], wanted)
            written = []
            if "to" in task.settings:
                save_states(folder / STATE, states)
            else:
                record = {
                    "key": task.key,
                    "trained_together": len(members),
                    "data_sha256": dataset.manifest["sha256"],
                    "device": device_name,
                }
                for (name, settings), state in zip(members.items(), states, strict=True):
                    written += _write_run(folder / name, state, {**record, "settings": settings})
            task.seal(*written)
        except (KeyboardInterrupt, OSError, InputError):
            with suppress(OSError):
                if last is not None:
                    checkpoints.write(last[0].epoch, partial(save_states, states=last))
                    print(f"kept the state after epoch {last[0].epoch} in {folder / UNFINISHED}", flush=True)
            raise
    remove_unfinished(folder)


def _start(checkpoints: Checkpoints, trunk: States | None, wanted: set[int]) -> States | None:
    """The newest checkpoint whose snapshots are all whole, or else the trunk's state, or None for the beginning."""
    first = trunk[0].epoch if trunk else -1

    def read(path: Path) -> States:
        states = load_states(path)
        for epoch in sorted(wanted):
            if first < epoch <= states[0].epoch:
                checkpoints.check_snapshot(epoch)
        return states

    states = checkpoints.newest(read)
    if states is None or states[0].epoch < first:
        checkpoints.remove_snapshots()
        return trunk
    return states


def _snapshot(members: Mapping[str, Mapping], states: States) -> dict[str, Tensor]:
    """The weights by epoch, in a stack place of the network, and name."""
    return {
        f"{state.epoch}/{member and f'{place}/'}{name}": tensor
        for place, (member, state) in enumerate(zip(members, states, strict=True))
        for name, tensor in state.weights.items()
    }


def _gather(path: Path, sources: Sequence[str | Path], wanted: set[int]) -> None:
    """Write the snapshots of `wanted` epochs to one file, of several of an epoch the last one's.

    What is read is mapped: the snapshots of a large network do not fit into memory together.
    """
    tensors = {name: tensor for source in sources for name, tensor in weights.load(source)[0].items()}
    weights.save(path, {name: each for name, each in tensors.items() if int(name.partition("/")[0]) in wanted}, {})


def _write_run(folder: Path, state: TrainingState, record: Mapping) -> list[Path]:
    """Write history, best and last weights, and what the training was, run.json; return the files."""
    files = [folder / name for name in ("history.csv", "best.safetensors", "final.safetensors", "run.json")]
    history, best, final, run = files
    # Without pandas, whose import a training job of a few seconds feels.
    with atomic_path(history) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, state.history[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(state.history)
    weights.save(best, state.best_weights, {"epoch": str(state.best_epoch)})
    weights.save(final, state.weights, {"epoch": str(state.epoch)})
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    more = {
        "best_epoch": state.best_epoch,
        "best_val_accuracy": state.best_val_accuracy,
        "train_seconds": round(sum(row["seconds"] for row in state.history), 3),
        "versions": {"equal_losses": __version__, **versions},
        "commit": _commit(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(run, {**record, **more})
    return files


def _processor() -> str:
    """The processor's model, on which the last digits depend, as far as the system tells."""
    with suppress(OSError):
        if model := re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return model[1]
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of the code, "+" behind it if the files differ from it; None outside a git checkout."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
