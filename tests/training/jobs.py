"""Trainings in processes of their own, by the scripts of the rules, for tests that stop and kill them."""

from __future__ import annotations

import csv
import multiprocessing
import os
import resource
import runpy
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from equal_losses.running.files import UNFINISHED, read_json
from equal_losses.running.records import RECORD, digest, is_made
from equal_losses.running.sources import ROOT

from ..running.jobs import Process, told
from .runs import TIMED, run

DATA = {"settings": {"source": "digits"}, "code": {}, "inputs": {}}
COMPUTE = {"device": "cpu", "threads": 1, "checkpoint_minutes": 0, "compile": False, "cuda_graphs": False}

SMALL = {"width": 0.125, "batch_size": 240}
MEMBERS = {"CE/seed1": run("CE", epochs=3, **SMALL), "FL/seed2": run("FL", seed=2, epochs=3, **SMALL)}

# Children of a process that has imported PyTorch once, with what its optimisers import, and done nothing with it.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["torch._dynamo", "equal_losses.training.together", "equal_losses.training.job", "snakemake.iocontainers"]
)

RESULTS = {
    "train": ("history.csv", "best.safetensors", "final.safetensors", "snapshots.safetensors", "run.json"),
    "train_stack": ("snapshots.safetensors",),
}
OF_A_TRUNK = ("state.safetensors", "snapshots.safetensors")


@dataclass(frozen=True)
class Data:
    """A prepared dataset on disk."""

    folder: Path

    @property
    def files(self) -> list[Path]:
        """The manifest and the arrays."""
        arrays = [f"{kind}_{split}.npy" for kind in ("images", "labels") for split in ("train", "val", "test")]
        return [self.folder / name for name in ("manifest.json", *arrays)]


class Training:
    """A training in a folder of its own.

    Args:
        place: the folder that its folder is in.
        script: a key of `RESULTS`: the script, and whether it trains a trunk.
        settings: those of the task, but for `snapshot_epochs`.
        snapshots: epochs of the snapshots.
        trunk: what it goes on from.
        compute: changes of the section of the study.
    """

    def __init__(
        self,
        place: Path,
        data: Data,
        script: str,
        settings: Mapping,
        snapshots: list[int],
        *,
        trunk: Training | None = None,
        **compute: object,
    ):
        inputs = {"dataset": digest(DATA)}
        made_of = {"settings": {**settings, "snapshot_epochs": snapshots}, "code": {}, "inputs": inputs}
        self.key = digest(made_of)
        place.mkdir(parents=True, exist_ok=True)
        self.folder = place / self.key
        self.unfinished, self.record = self.folder / UNFINISHED, self.folder / RECORD
        results = OF_A_TRUNK if "to" in settings else RESULTS[script]
        self.outputs = [self.folder / name for name in (*results, RECORD)]
        self.terminal = place / f"{self.key}.terminal"
        self._script = ROOT / "workflow" / "scripts" / f"{script.removesuffix('_trunk')}.py"
        files, expected = {"dataset": data.files}, {"dataset": digest(DATA)}
        if trunk is not None:
            files["trunk"], expected["trunk"] = trunk.outputs, trunk.key
        self._told = told(
            self.folder / "train.log",
            made_of,
            output={path.stem: [path] for path in self.outputs},
            input=files,
            expected=expected,
            compute={**COMPUTE, **compute},
        )

    def start(self, **disturbance: object) -> Process:
        """Start it; see `disturbed`."""
        log, arguments = Path(self._told.log[0]), (self._script, self._told, disturbance)
        return Process(log, self.terminal, disturbed, *arguments, context=PROCESSES)

    def finish(self) -> Process:
        """Run it to its end."""
        process = self.start()
        assert process.end() == 0, process.said
        return process

    @property
    def is_made(self) -> bool:
        """Whether its results are whole."""
        return is_made(self.record, self.key)

    @property
    def results(self) -> dict[str, object]:
        """Everything that must not depend on how often the training was interrupted."""
        found: dict[str, object] = {}
        for path in self.folder.rglob("[!.]*"):
            name = str(path.relative_to(self.folder))
            if path.name == "history.csv":
                rows = csv.DictReader(path.read_text().splitlines())
                found[name] = [{key: value for key, value in row.items() if key not in TIMED} for row in rows]
            elif path.name == "run.json":
                found[name] = {**read_json(path), "train_seconds": 0, "finished": "", "commit": ""}
            elif path.name == RECORD:
                found[name] = {**read_json(path), "files": sorted(read_json(path)["files"])}
            elif path.is_file() and path.suffix != ".log":
                found[name] = path.read_bytes()
        return found

    def lose_outputs(self) -> None:
        """Remove what the rule names as output, as Snakemake does when a job fails and before one starts."""
        for path in self.outputs:
            path.unlink(missing_ok=True)


def began(process: Process) -> int:
    """The epoch at which a training began."""
    process.wait_for("from epoch ")
    return int(process.said.partition("from epoch ")[2].split()[0])


def left_over(training: Training) -> list[str]:
    """Files that are no results, and the folder of what an interrupted training goes on from."""
    results = {*read_json(training.record)["files"], RECORD, "train.log"}
    found = [path for path in training.folder.rglob("*") if path.is_file() or path == training.unfinished]
    return sorted({str(path.relative_to(training.folder)) for path in found} - results)


def disturbed(script: Path, snakemake: SimpleNamespace, disturbance: Mapping) -> None:
    """Run a script.

    Args:
        disturbance: `file_bytes`, the largest file that the process may write; or `before`, the change of a file before
            which the process gets the signal `number` twice: "write" or "remove" and the end of the file's path.
    """
    if "file_bytes" in disturbance:
        resource.setrlimit(resource.RLIMIT_FSIZE, (disturbance["file_bytes"],) * 2)
    if "before" in disturbance:
        _interrupt(**disturbance)
    runpy.run_path(str(script), {"snakemake": snakemake})


def _interrupt(before: str, number: int) -> None:
    change, _, name = before.partition(" ")
    # A file is there once its temporary one is renamed.
    events = {"write": ("os.rename",), "remove": ("os.remove", "os.rmdir")}[change]
    waiting = True

    def hook(event: str, arguments: tuple) -> None:
        nonlocal waiting
        if waiting and event in events and str(arguments[event == "os.rename"]).endswith(name):
            waiting = False
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)  # clusters repeat themselves

    sys.addaudithook(hook)
