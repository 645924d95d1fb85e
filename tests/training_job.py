"""One training as a process of its own, as the rule `train` runs it, for tests that kill it."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
from neural_collapse import features, runs, tables, training
from neural_collapse.files import atomic_path
from neural_collapse.jobs import Progress, job
from neural_collapse.preparation import PreparedDataset

# Children of a process that has imported PyTorch once, with what its optimisers import, and done nothing with it.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["torch._dynamo", "neural_collapse.features", "neural_collapse.runs"])


class TrainingJob:
    """A run of a study in the folder `folder`, which it fills like a run's folder.

    Args:
        minutes: see compute.checkpoint_minutes.
        file_bytes: the largest file that the process may write, if any.
    """

    def __init__(self, folder: Path, run, dataset: PreparedDataset, *, minutes: float = 0, file_bytes: int = 0):
        self.folder = folder
        self.log = folder / "train.log"
        self._terminal = folder.with_name(f"{folder.name}.terminal")
        self.scratch = folder / "checkpoints" / "run" / run.train_key
        self._arguments = (
            folder,
            self._terminal,
            self.scratch,
            dataset.directory / "manifest.json",
            run.settings,
            run.snapshot_epochs,
            run.train_key,
            minutes,
            file_bytes,
        )
        self.process = None

    def start(self) -> None:
        with suppress(OSError):
            self.log.unlink()
        self.process = PROCESSES.Process(target=_train, args=self._arguments)
        self.process.start()

    def finish(self) -> int:
        """Run to the end; answers the exit status."""
        if self.process is None or not self.process.is_alive():
            self.start()
        self.process.join(60)
        return self.process.exitcode

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Wait until the log holds `text`."""
        end = time.monotonic() + seconds
        while text not in self.said():
            assert self.process.is_alive() and time.monotonic() < end, self.said()
            time.sleep(0.002)

    def began(self) -> int:
        """Wait for the training to begin; answers the epoch at which it did."""
        self.wait_for("from epoch ")
        return int(self.said().partition("from epoch ")[2].split()[0])

    def epoch(self) -> int:
        """Epochs completed, as the log has it."""
        lines = [line for line in self.said().splitlines() if line.startswith("epoch ") and "ETA" in line]
        return int(lines[-1].split()[1].partition("/")[0]) if lines else 0

    def wait_for_epoch(self, epoch: int) -> None:
        """Wait until so many epochs are completed, of those that this process does."""
        begin = self.began()
        while self.epoch() < epoch and epoch > begin:
            assert self.process.is_alive(), self.said()
            time.sleep(0.002)

    def said(self) -> str:
        with suppress(FileNotFoundError):
            return self.log.read_text()
        return ""

    def terminal(self) -> list[str]:
        """Lines that the process said on the terminal."""
        return self._terminal.read_text().splitlines()

    def results(self) -> dict[str, object]:
        """Everything that must not depend on how often the training was interrupted."""
        history = pd.read_csv(self.folder / "history.csv").drop(columns=["seconds", "images_per_second"])
        names = ["best.safetensors", "final.safetensors", "nc_metrics.csv"]
        snapshots = sorted(path.name for path in (self.folder / "snapshots").iterdir())
        return {
            "history": history.to_csv(),
            "snapshots": snapshots,
            **{name: (self.folder / name).read_bytes() for name in [*names, *(f"snapshots/{s}" for s in snapshots)]},
        }


def _train(folder, terminal, scratch, manifest, settings, snapshot_epochs, key, minutes, file_bytes) -> None:
    os.dup2(os.open(terminal, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
    with job(folder / "train.log"):
        if file_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        dataset = PreparedDataset.open(manifest)
        epochs = settings["epochs"]
        names = {"history": "history.csv", "best": "best.safetensors", "final": "final.safetensors"}
        files = {name: folder / file for name, file in names.items()}
        with runs.trained_segment(
            [settings],
            dataset,
            keys=[key],
            stems=[],
            until=epochs,
            snapshot_epochs=snapshot_epochs,
            snapshots=[folder / "snapshots"],
            scratch=scratch,
            device="cpu",
            threads=1,
            checkpoint_minutes=minutes,
            compile=False,
            cuda_graphs=False,
            report=lambda begin: Progress(epochs, begin, epochs),
        ) as (state,):
            runs.write_run(
                state,
                settings,
                dataset,
                key=key,
                identity={},
                trained_together=1,
                device="cpu",
                threads=1,
                record=folder / "run.json",
                **files,
            )
        with training.reproducible(1):
            arrays = features.extract(
                settings,
                dataset,
                runs.snapshot_files(snapshot_epochs, [folder / "snapshots"], files["final"], files["best"]),
                device=training.resolve_device("cpu"),
                augmented=False,
            )
        import numpy as np

        with atomic_path(folder / "features.npz") as temporary:
            np.savez(temporary, **arrays)
        tables.write(folder / "nc_metrics.csv", tables.metrics_of_snapshots(folder / "features.npz"))
