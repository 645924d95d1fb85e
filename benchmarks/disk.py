"""Bytes of a run at its end and at the peak for each width of the paper, against keeping 101 checkpoints.

Every kind of file is written by the workflow's own writers, after one and after two real epochs on a few images of
CIFAR10's format. Sizes are then multiplied out by the numbers of config/paper.yaml: the jobs of one (loss, width, seed)
are gone through in the order of the workflow, files come and go as the rules say, and the most is noted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from harness import ROOT, Row, Table, record
from training import prepared

from equal_losses.commands import cost
from equal_losses.datasets._images import Images
from equal_losses.datasets.prepared import PreparedDataset
from equal_losses.metrics import extraction
from equal_losses.running import records
from equal_losses.running.checkpoints import KEPT
from equal_losses.running.shell import Task
from equal_losses.statistics import tables
from equal_losses.study import configuration
from equal_losses.study.fingerprints import Codebase
from equal_losses.study.grid import Experiment, Run, Study, Trunk
from equal_losses.study.keys import Steps
from equal_losses.training.job import SNAPSHOTS, train_run
from equal_losses.training.loop import build_network, copies
from equal_losses.training.state import TrainingState, save_states

TARGET = 1e9  # bytes of a run at width 2
CHECKPOINTS = 101  # that the released code keeps of each run
RUN_FILES = ("history.csv", "best.safetensors", "final.safetensors", SNAPSHOTS, "run.json", records.RECORD)


@dataclass(frozen=True)
class Rows:
    """Bytes of a file that has a row for each snapshot or epoch."""

    fixed: float
    row: float

    @classmethod
    def of(cls, name: str, folders: Sequence[Path], count: int) -> Rows:
        """From a file that has `count` rows in the first folder and one more in the second."""
        fewer, more = ((folder / name).stat().st_size for folder in folders)
        return cls(fewer - count * (more - fewer), more - fewer)

    def __call__(self, count: int) -> float:
        return self.fixed + count * self.row


@dataclass(frozen=True)
class Sizes:
    """Bytes of each kind of file.

    Attributes:
        rows: of the files of a run that have a row for each snapshot or epoch, by name.
        fixed: of all others: the best and the last weights, run.json and the records.
        state: of a training state whose best epoch is an earlier one, as it is after most epochs.
        checkpoint: of weights by `torch.save`, as the released code keeps them.
    """

    rows: dict[str, Rows]
    fixed: int
    state: int
    checkpoint: int

    def snapshots(self, count: int) -> float:
        """So many snapshots, in one file."""
        return self.rows[SNAPSHOTS](count)

    def kept(self, run: Run) -> float:
        """Bytes at the end of a run, whose snapshots are gone; features are taken of the best model, too."""
        measured = len(run.snapshot_epochs) + 1
        features = self.rows["features.npz"](measured) + self.rows["metrics.csv"](measured)
        return self.fixed + features + self.rows["history.csv"](run.epochs)

    def training(self, part: Run | Trunk, start: Trunk | None) -> float:
        """The most bytes that come and go with a training itself.

        It has a file for each snapshot, its last `KEPT` states, and one more while that is written; at the end the
        snapshots in one file, and of a trunk the state.
        """
        own = sum(start is None or epoch > start.to for epoch in part.snapshot_epochs)
        end = self.snapshots(len(part.snapshot_epochs)) + isinstance(part, Trunk) * self.state
        return own * self.snapshots(1) + KEPT * self.state + max(self.state, end)


def tiny_cifar10(folder: Path) -> PreparedDataset:
    """Two training images, a validation image and a test image of each class, of noise."""
    generator = np.random.default_rng(0)

    def images(count: int) -> np.ndarray:
        return generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)

    labels = np.arange(30) % 10
    names = [f"class {label}" for label in range(10)]
    return prepared(folder, Images(images(30), labels, images(10), labels[:10], names), validation=1 / 3)


def finished(run: Run, epochs: int, dataset: PreparedDataset, folder: Path) -> Path:
    """The folder of a run of so many epochs and with a snapshot after each, trained and measured as jobs do it."""
    study = run.experiment.study
    steps = Steps(study, Codebase(), folder, {})
    compute = {**study.compute, "device": "cpu", "threads": torch.get_num_threads()}
    settings = {**run.settings, "epochs": epochs}
    snapshot_epochs = list(range(1, epochs + 1))
    told = {**steps.training(run).ingredients, "settings": {"run": settings, "snapshot_epochs": snapshot_epochs}}
    place = folder / records.digest(told)
    train_run(Task(told, [place / name for name in RUN_FILES]), dataset, settings, None, compute)
    features, metrics = place / "features.npz", place / "metrics.csv"
    snapshots = extraction.snapshots_of_run(place / SNAPSHOTS, place / "best.safetensors", snapshot_epochs)
    extraction.write_features(features, run.measured_settings, dataset, snapshots, augmented=False, compute=compute)
    tables.write(metrics, tables.metrics_of_snapshots(features))
    records.seal([features], steps.features(run).ingredients)
    records.seal([metrics], steps.metrics(run).ingredients)
    return place


def measured(run: Run, dataset: PreparedDataset, folder: Path) -> Sizes:
    """Sizes of what `run` writes."""
    once, twice = (finished(run, epochs, dataset, folder) for epochs in (1, 2))
    counts = {"history.csv": 1, SNAPSHOTS: 1, "features.npz": 2, "metrics.csv": 2}
    network = build_network(run.settings, dataset)
    weights, momentum = network.state_dict(), dict(network.named_parameters())
    state, checkpoint = folder / "state.safetensors", folder / "checkpoint.pth"
    save_states(state, [TrainingState(1, copies(weights), copies(momentum), copies(weights))])
    torch.save(weights, checkpoint)
    return Sizes(
        rows={name: Rows.of(name, (once, twice), count) for name, count in counts.items()},
        fixed=sum(path.stat().st_size for path in once.iterdir() if path.name not in counts),
        state=state.stat().st_size,
        checkpoint=checkpoint.stat().st_size,
    )


def temporary_peak(group: Sequence[Run], sizes: Sizes) -> float:
    """The most bytes that come and go with the runs of one (loss, width, seed), on one device.

    A job that frees disk goes before one that does not: each trunk is followed by the runs that leave it, and each run
    by its extraction. State and snapshots of a trunk are there until all that starts from it is done.
    """
    trunks = sorted({trunk for run in group for trunk in run.trunks}, key=lambda trunk: trunk.to)
    waiting = Counter([*(run.trunk for run in group), *(trunk.parent for trunk in trunks)])
    done: list[Trunk] = []
    peak = 0.0

    def train(part: Run | Trunk, start: Trunk | None) -> None:
        nonlocal peak
        held = [sizes.state + sizes.snapshots(len(trunk.snapshot_epochs)) for trunk in done if waiting[trunk]]
        peak = max(peak, sum(held) + sizes.training(part, start))
        waiting[start] -= 1

    for trunk in (None, *trunks):
        if trunk:
            train(trunk, trunk.parent)
            done.append(trunk)
        for run in group:
            if run.trunk == trunk:
                train(run, trunk)
    return peak


def paper(widths: Sequence[float] | None = None) -> Experiment:
    """CIFAR10's experiment of the paper's study, at some of its widths."""
    config = configuration.load([ROOT / "config" / "paper.yaml"])
    if widths:
        config["defaults"]["widths"] = list(widths)
    return Study(config).experiments["cifar10"]


def planned(experiment: Experiment) -> cost.Cost:
    """What `equal-losses plan` says before the dataset is prepared; the rate does not matter here."""
    return cost.experiment_cost(experiment, cost.dataset_size(experiment, Path("no manifest")), 1e12)


@dataclass(frozen=True)
class Width:
    """What one width of the grid takes.

    Attributes:
        experiment: at this width alone.
        sizes: of its files.
    """

    experiment: Experiment
    sizes: Sizes

    @property
    def longest(self) -> Run:
        """A run of the longest budget."""
        return max(self.experiment.runs, key=lambda run: run.epochs)

    @property
    def run(self) -> float:
        """Bytes at the end of the longest run."""
        return self.sizes.kept(self.longest)

    @property
    def run_with_snapshots(self) -> float:
        """The same with `keep_snapshots: true`."""
        return self.run + self.sizes.snapshots(len(self.longest.snapshot_epochs))

    @property
    def grid(self) -> float:
        """Bytes at the end of all runs."""
        return sum(map(self.sizes.kept, self.experiment.runs))

    @property
    def temporary(self) -> float:
        """The most bytes beside what is kept; every (loss, seed) has the same trunks and snapshots."""
        one = self.longest.loss, self.longest.seed
        return temporary_peak([run for run in self.experiment.runs if (run.loss, run.seed) == one], self.sizes)

    @property
    def naive_run(self) -> int:
        """Bytes of a run that keeps its checkpoints."""
        return CHECKPOINTS * self.sizes.checkpoint

    def cells(self) -> list[str]:
        """A row of the table."""
        plan = planned(self.experiment)
        return [
            f"{self.longest.width:g}",
            f"{self.sizes.snapshots(1) / 1e6:.1f}",
            f"{self.sizes.state / 1e6:.1f}",
            f"{self.sizes.rows['features.npz'](len(self.longest.snapshot_epochs) + 1) / 1e6:.2f}",
            f"{self.run / 1e6:.1f}",
            f"{self.run_with_snapshots / 1e9:.2f}",
            f"{self.naive_run / 1e9:.2f}",
            f"{self.temporary / 1e9:.2f}",
            f"{self.grid / 1e9:.2f}",
            f"{plan.disk_end_of_run / self.run - 1:+.2%}",
            f"{plan.disk_temporary / self.temporary - 1:+.2%}",
            f"{plan.disk_end / self.grid - 1:+.2%}",
        ]


def main() -> None:
    results = []
    with TemporaryDirectory() as temporary:
        dataset = tiny_cifar10(Path(temporary) / "dataset")
        for width in sorted(paper().config["widths"]):
            experiment = paper([width])
            # One folder at a time, because the files of the widest network are gigabytes together.
            with TemporaryDirectory(dir=temporary) as folder:
                longest = max(experiment.runs, key=lambda run: run.epochs)
                results.append(Width(experiment, measured(longest, dataset, Path(folder))))
    widest = results[-1]
    whole = paper()
    end = sum(each.grid for each in results)
    peak = end + widest.temporary
    naive = sum(each.naive_run * len(each.experiment.runs) for each in results)
    plan = planned(whole)
    planned_peak = plan.disk_end + plan.disk_temporary
    rows = [
        Row(
            figure=f"a run at width {widest.longest.width:g} leaves {widest.run / 1e9:.3f} GB at its end",
            alternative=f"{CHECKPOINTS} checkpoints: {widest.naive_run / 1e9:.1f} GB",
            ratio=f"{widest.naive_run / widest.run:.1f} times less",
            target="at most 1 GB",
            met=widest.run <= TARGET,
            why="" if widest.run <= TARGET else "the best and the last weights alone are more",
        ),
        Row(
            figure=f"the same with `keep_snapshots: true`: {widest.run_with_snapshots / 1e9:.2f} GB",
            alternative=f"{CHECKPOINTS} checkpoints: {widest.naive_run / 1e9:.1f} GB",
            ratio=f"{widest.naive_run / widest.run_with_snapshots:.1f} times less",
            target="–",
            met=None,
        ),
        Row(
            figure=f"CIFAR10's grid, {len(whole.runs)} runs, on one GPU: {end / 1e9:.1f} GB at the end, "
            f"{peak / 1e9:.1f} GB at the peak",
            alternative=f"{CHECKPOINTS} checkpoints per run: {naive / 1e9:,.0f} GB",
            ratio=f"{naive / peak:.1f} times less at the peak",
            target="–",
            met=None,
        ),
        Row(
            figure=f"equal-losses plan: {plan.disk_end / 1e9:.1f} GB at the end of that grid, "
            f"{planned_peak / 1e9:.1f} GB at the peak",
            alternative="sizes of real files, multiplied out",
            ratio=f"{plan.disk_end / end - 1:+.2%} and {planned_peak / peak - 1:+.2%}",
            target="–",
            met=None,
        ),
    ]
    table = Table(
        "WideResNet50-X on CIFAR10, from real files. A run keeps its best and last weights, features.npz, its history, "
        "metrics and records, and its snapshots if it is asked to. In between: the most that comes and goes with the "
        "runs of one loss and seed, on one device. The figures of the plan are relative to what was measured.",
        (
            *("width X", "snapshot, MB", "training state, MB", "features.npz, MB", "run of 800 epochs at its end, MB"),
            *("with its snapshots, GB", f"{CHECKPOINTS} checkpoints, GB", "in between, GB"),
            *("all runs of the width at the end, GB", "plan: run", "plan: in between", "plan: all runs"),
        ),
        [each.cells() for each in results],
    )
    record("Disk", rows, [table])


if __name__ == "__main__":
    main()
