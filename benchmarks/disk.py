"""Bytes of a run at its end and at the peak for each width of the paper, against keeping 101 checkpoints.

Every kind of file is written once by the workflow's own writers, after one real epoch on a few images of CIFAR10's
format. Sizes are then multiplied out by the numbers of config/paper.yaml: the jobs of one (loss, width, seed) are gone
through in the order in which the workflow does them, files come and go as the rules say, and the most is noted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from harness import Row, Table, record
from neural_collapse import configuration, cost, features, runs, tables, training
from neural_collapse.checkpoints import KEPT
from neural_collapse.datasets import Images
from neural_collapse.preparation import PreparedDataset, prepare
from neural_collapse.study import Experiment, Run, Stem, Study

ROOT = Path(__file__).parents[1]
TARGET = 1e9  # bytes of a run at width 2
CHECKPOINTS = 101  # that the released code keeps of a run


@dataclass(frozen=True)
class Rows:
    """Bytes of a file that has a row a snapshot or an epoch."""

    fixed: float
    row: float

    @classmethod
    def between(cls, one: Path, two: Path) -> Rows:
        """From a file of one row and one of two."""
        row = two.stat().st_size - one.stat().st_size
        return cls(one.stat().st_size - row, row)

    def __call__(self, count: int) -> float:
        return self.fixed + count * self.row


@dataclass(frozen=True)
class Sizes:
    """Bytes of each kind of file.

    Attributes:
        weights: a snapshot, and as much the best and the last weights.
        state: a training state whose best epoch is an earlier one, as of most epochs.
        checkpoint: the same weights by `torch.save`, as the released code keeps them.
        record: run.json.
        features, metrics, history: with a row a snapshot, a snapshot and an epoch.
    """

    weights: int
    state: int
    checkpoint: int
    record: int
    features: Rows
    metrics: Rows
    history: Rows

    def kept(self, run: Run) -> float:
        """Bytes at the end of a run; a snapshot of the best epoch is measured too."""
        snapshots = len(run.snapshot_epochs) + 1
        tables_ = self.features(snapshots) + self.metrics(snapshots) + self.history(run.epochs)
        return 2 * self.weights + self.record + tables_


def tiny_cifar10(folder: Path) -> PreparedDataset:
    """Two training images, a validation image and a test image of each class, of noise."""
    generator = np.random.default_rng(0)

    def images(count: int) -> np.ndarray:
        return generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)

    labels = np.arange(30) % 10
    names = [f"class {label}" for label in range(10)]
    whole = Images(images(30), labels, images(10), labels[:10], names)
    prepare(folder, whole, split_seed=0, stratified=True, validation_fraction=1 / 3, test_fraction=None)
    return PreparedDataset.open(folder / "manifest.json")


def measured(run: Run, dataset: PreparedDataset, folder: Path) -> Sizes:
    """Sizes of what `run` writes, after one epoch."""
    threads = torch.get_num_threads()
    compute = {**run.experiment.study.job_compute(threads), "device": "cpu"}
    best, final, run_json = folder / "best.safetensors", folder / "final.safetensors", folder / "run.json"
    with runs.trained_segment(
        [run.settings],
        dataset,
        keys=[run.train_key],
        stems=[],
        until=1,
        snapshot_epochs=[0, 1],
        snapshots=[folder / "snapshots"],
        scratch=folder / "scratch" / run.train_key,
        report=lambda begin: lambda rows: None,
        **compute,
    ) as (state,):
        runs.write_run(
            state,
            run.settings,
            dataset,
            key=run.train_key,
            identity=run.identity,
            trained_together=1,
            device="cpu",
            threads=threads,
            history=folder / "history1.csv",
            best=best,
            final=final,
            record=run_json,
        )
    (snapshot,) = (folder / "snapshots").glob("epoch00000*")
    state_file, checkpoint = folder / "state.safetensors", folder / "checkpoint.pth"
    best_weights = {name: tensor.clone() for name, tensor in state.weights.items()}
    replace(state, best_epoch=0, best_weights=best_weights).save(state_file, key=run.train_key)
    torch.save(state.weights, checkpoint)
    tables.write(folder / "history2.csv", pd.DataFrame(2 * state.history))
    with training.reproducible(threads):
        files = {"0": snapshot, "1": final}
        arrays = features.extract(run.settings, dataset, files, device=torch.device("cpu"), augmented=False)
    for count in (1, 2):
        archive = folder / f"features{count}.npz"
        # As the rule extract_features writes them.
        np.savez(archive, key=run.features_key, **{name: array[:count] for name, array in arrays.items()})
        tables.write(folder / f"metrics{count}.csv", tables.metrics_of_snapshots(archive))

    by_row = {
        name: Rows.between(folder / f"{name}1{suffix}", folder / f"{name}2{suffix}")
        for name, suffix in (("features", ".npz"), ("metrics", ".csv"), ("history", ".csv"))
    }
    bytes_ = {"weights": snapshot, "state": state_file, "checkpoint": checkpoint, "record": run_json}
    return Sizes(**{name: path.stat().st_size for name, path in bytes_.items()}, **by_row)


def temporary_peak(group: Sequence[Run], sizes: Sizes) -> int:
    """The most bytes that come and go with the runs of one (loss, width, seed), on one device.

    A job that frees disk goes before one that does not: so each stem is followed by the runs that leave it, and each
    run by its extraction. A state is there until the stems and runs that start from it are done, the snapshots of a
    stem until the features of all runs on its way are taken. A training has its last `KEPT` states beside it, and one
    more while that is written.
    """
    stems = sorted({stem for run in group for stem in run.stems}, key=lambda stem: stem.to)
    waiting: Counter[Stem] = Counter(stem for run in group for stem in run.stems)  # for snapshots
    starting: Counter[Stem] = Counter(part.parent for part in stems if part.parent)  # from a state
    starting += Counter(run.stem for run in group if run.stem)
    stem_snapshots = {stem: _own_snapshots(stem, stem.parent) for stem in stems}
    done: set[Stem] = set()
    peak = 0

    def held() -> int:
        snapshots = sum(stem_snapshots[stem] for stem in done if waiting[stem])
        return snapshots * sizes.weights + sum(starting[stem] > 0 for stem in done) * sizes.state

    def trains(own: int, start: Stem | None) -> None:
        nonlocal peak
        peak = max(peak, held() + own * sizes.weights + (KEPT + 1) * sizes.state)
        if start:
            starting[start] -= 1

    for stem in (None, *stems):
        if stem:
            trains(stem_snapshots[stem], stem.parent)
            done.add(stem)
        for run in group:
            if run.stem == stem:
                trains(_own_snapshots(run, stem), stem)
                waiting.subtract(run.stems)
    return peak


def _own_snapshots(part: Run | Stem, start: Stem | None) -> int:
    return sum(start is None or epoch > start.to for epoch in part.snapshot_epochs)


def paper(widths: Sequence[float] | None = None) -> Experiment:
    """CIFAR10's experiment of the paper's study, at some of its widths."""
    config = configuration.load([ROOT / "config" / "paper.yaml"])
    if widths:
        config["defaults"]["widths"] = list(widths)
    return Study(config).experiments["cifar10"]


@dataclass(frozen=True)
class Width:
    """What one width of the grid takes, in bytes.

    Attributes:
        runs: of this width.
        run: at the end of the longest run.
        grid: at the end of all runs of this width.
        temporary: beside what is kept, when most.
        naive_run, naive_grid: of 101 checkpoints a run.
        planned: what `neural-collapse plan` says.
    """

    sizes: Sizes
    runs: int
    run: float
    grid: float
    temporary: int
    naive_run: int
    naive_grid: int
    planned: cost.Cost

    @classmethod
    def of(cls, width: float, dataset: PreparedDataset, folder: Path) -> Width:
        experiment = paper([width])
        longest = max(experiment.runs, key=lambda run: run.epochs)
        sizes = measured(longest, dataset, folder)
        groups = [list(group) for _, group in groupby(sorted(experiment.runs, key=_group), key=_group)]
        return cls(
            sizes=sizes,
            runs=len(experiment.runs),
            run=sizes.kept(longest),
            grid=sum(map(sizes.kept, experiment.runs)),
            temporary=max(temporary_peak(group, sizes) for group in groups),
            naive_run=CHECKPOINTS * sizes.checkpoint,
            naive_grid=len(experiment.runs) * CHECKPOINTS * sizes.checkpoint,
            planned=cost.experiment_cost(experiment, operations_per_second=1e12),  # the rate is of no matter here
        )


def _group(run: Run) -> tuple[str, int]:
    return run.loss, run.seed


def main() -> None:
    results = {}
    with TemporaryDirectory() as temporary:
        dataset = tiny_cifar10(Path(temporary) / "dataset")
        for width in paper().config["widths"]:
            # A folder at a time, because the files of the widest network are gigabytes together.
            with TemporaryDirectory(dir=temporary) as folder:
                results[width] = Width.of(width, dataset, Path(folder))
    widest = results[max(results)]
    grid, naive = sum(each.grid for each in results.values()), sum(each.naive_grid for each in results.values())
    count = sum(each.runs for each in results.values())
    planned = cost.experiment_cost(paper(), operations_per_second=1e12)
    rows = [
        Row(
            figure=f"a run at width {max(results)} leaves {widest.run / 1e9:.3f} GB at its end",
            alternative=f"{CHECKPOINTS} checkpoints: {widest.naive_run / 1e9:.1f} GB",
            ratio=f"{widest.naive_run / widest.run:.1f} times less",
            target="at most 1 GB",
            met=widest.run <= TARGET,
            why="" if widest.run <= TARGET else "the best and the last weights alone are more",
        ),
        Row(
            figure=f"CIFAR10's grid, {count} runs, on one GPU: {grid / 1e9:.1f} GB at the end, "
            f"{(grid + widest.temporary) / 1e9:.1f} GB at the peak",
            alternative=f"{CHECKPOINTS} checkpoints a run: {naive / 1e9:,.0f} GB",
            ratio=f"{naive / (grid + widest.temporary):.1f} times less at the peak",
            target="–",
            met=None,
        ),
        Row(
            figure=f"neural-collapse plan: {planned.disk_end / 1e9:.1f} GB at the end of that grid, "
            f"{(planned.disk_end + planned.disk_temporary) / 1e9:.1f} GB at the peak",
            alternative="sizes of real files, multiplied out",
            ratio=f"{planned.disk_end / grid - 1:+.2%} and "
            f"{(planned.disk_end + planned.disk_temporary) / (grid + widest.temporary) - 1:+.2%}",
            target="–",
            met=None,
        ),
    ]
    table = Table(
        "WideResNet50-X on CIFAR10, from real files. A run keeps its best and last weights, features.npz, its history, "
        "metrics and record. In between: the most that comes and goes with the runs of one loss and seed, on one "
        "device. The figures of the plan are relative to what was measured.",
        (
            *("width X", "snapshot, MB", "training state, MB", "features.npz, MB", "run of 800 epochs at its end, MB"),
            *("in between, GB", "all runs of the width at the end, GB", f"{CHECKPOINTS} checkpoints a run, GB"),
            *("plan: a run", "plan: in between", "plan: all runs"),
        ),
        [_cells(width, each) for width, each in results.items()],
    )
    record("Disk", rows, [table])


def _cells(width: float, each: Width) -> list[str]:
    snapshots = len(max(paper([width]).runs, key=lambda run: run.epochs).snapshot_epochs) + 1
    return [
        f"{width:g}",
        f"{each.sizes.weights / 1e6:.1f}",
        f"{each.sizes.state / 1e6:.1f}",
        f"{each.sizes.features(snapshots) / 1e6:.2f}",
        f"{each.run / 1e6:.1f}",
        f"{each.temporary / 1e9:.2f}",
        f"{each.grid / 1e9:.2f}",
        f"{each.naive_run / 1e9:.2f}",
        f"{each.planned.disk_end_of_run / each.run - 1:+.2%}",
        f"{each.planned.disk_temporary / each.temporary - 1:+.2%}",
        f"{each.planned.disk_end / each.grid - 1:+.2%}",
    ]


if __name__ == "__main__":
    main()
