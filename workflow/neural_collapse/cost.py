"""What a study costs, before it is run: jobs, epochs, operations, device hours and disk."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cache

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from . import datasets, losses, networks
from .checkpoints import KEPT
from .errors import InputError
from .files import read_json
from .study import Experiment, Run, Stem

# Forward and backward pass together cost three forward passes: the backward pass has two products for each one.
TRAINING_FACTOR = 3
# A training state holds weights, momentum and the best weights.
STATE_COPIES = 3
# A step small enough to time within a second or two on a CPU.
_TIMED_OPERATIONS = 2e11


@dataclass(frozen=True)
class Cost:
    """What an experiment costs.

    Attributes:
        runs: points of the grid.
        stems, trainings: jobs that train: shared stems, and runs (candidates included) from there to their end.
        epochs_alone, epochs: of all trainings if none shared a stem, and as they are.
        operations: multiply-adds, counted as two, of training and evaluation.
        device_hours: at the rate measured or given.
        disk_end, disk_end_of_run: bytes that are kept, of all and of a run of the largest width, but for tables and
            records, which are some hundred kilobytes a run.
        disk_temporary: bytes that come and go with the runs of one (loss, seed) of the largest width, when there are
            most of them; the peak is disk_end and as many times this as devices work at a time.
        jobs: jobs of the workflow, without the dataset's.
    """

    runs: int
    stems: int
    trainings: int
    epochs_alone: int
    epochs: int
    operations: float
    device_hours: float
    disk_end: int
    disk_end_of_run: int
    disk_temporary: int
    jobs: int


def experiment_cost(experiment: Experiment, operations_per_second: float | None) -> Cost:
    """Cost of one experiment.

    Args:
        operations_per_second: effective rate of the device; if None, the training step of every network is timed here.

    Raises:
        InputError: where the number of images is known only after the dataset is prepared, and it is not.
    """
    size = dataset_size(experiment)
    trained, stems = experiment.trained, experiment.stems
    extracted = [run for run in trained if run.seed in experiment.config["seeds"]]
    operations = hours = 0.0
    disk_end = disk_end_of_run = disk_temporary = 0
    for width in sorted(experiment.config["widths"]):
        network = network_size(experiment, size, width)
        segments = [part for part in (*trained, *stems) if part.width == width]
        epochs = sum(part.own_epochs for part in segments)
        snapshots = sum(len(run.snapshot_epochs) + 1 for run in extracted if run.width == width)
        images = epochs * (TRAINING_FACTOR * size.train + size.val) + snapshots * (size.train + size.val + size.test)
        operations += images * network.forward_operations
        rate = operations_per_second or measured_rate(experiment, size, width)
        hours += images * network.forward_operations / rate / 3600

        # Class means and W, counts, variances and b, in float64.
        features_of_snapshot = 8 * size.classes * (2 * network.feature_dimension + 3)
        weights_of_run = 2 * network.weight_bytes  # best and final
        runs = sum(run.width == width for run in trained)
        disk_end += runs * weights_of_run + snapshots * features_of_snapshot
        longest = max(len(run.snapshot_epochs) for run in trained if run.width == width)
        disk_end_of_run = weights_of_run + (longest + 1) * features_of_snapshot
        disk_temporary = network.weight_bytes * max(_temporary_copies(run) for run in trained if run.width == width)
    return Cost(
        runs=len(experiment.runs),
        stems=len(stems),
        trainings=len(trained),
        epochs_alone=sum(run.epochs for run in trained),
        epochs=sum(part.own_epochs for part in (*trained, *stems)),
        operations=operations,
        device_hours=hours,
        disk_end=disk_end,
        disk_end_of_run=disk_end_of_run,
        disk_temporary=disk_temporary,
        jobs=sum(experiment.jobs.values()),
    )


def _temporary_copies(run: Run) -> int:
    """Copies of the weights that are on disk for a while, when the training of `run` is near its end.

    The snapshots of its stems wait, like its own, until its features are taken; of the states there is the stem's and
    one more than are kept, while it is written. Other runs of the same stems are done by then, or not yet begun,
    because the workflow prefers what frees disk. Runs that are trained as one come and go together.
    """
    members = len(run.stack.members) if run.stack else 1
    snapshots = sum(_snapshots_taken(part) for part in (run, *run.stems))
    states = KEPT + 1 + (run.stem is not None)
    return members * (snapshots + STATE_COPIES * states)


def _snapshots_taken(part: Run | Stem) -> int:
    """Snapshots that a training takes itself, after the stem that it goes on from."""
    before = part.stem if isinstance(part, Run) else part.parent
    return sum(before is None or epoch > before.to for epoch in part.snapshot_epochs)


@dataclass(frozen=True)
class DatasetSize:
    """Images of each part, height, width and channels of an image, and number of classes."""

    train: int
    val: int
    test: int
    height: int
    width: int
    channels: int
    classes: int


def dataset_size(experiment: Experiment) -> DatasetSize:
    """From the manifest if the dataset is prepared, otherwise from what its kind is known to hold."""
    if experiment.manifest.exists():
        manifest = read_json(experiment.manifest)
        counts = {split: sum(numbers) for split, numbers in manifest["counts"].items()}
        height, width, channels = manifest["image_shape"]
        return DatasetSize(**counts, height=height, width=width, channels=channels, classes=len(manifest["classes"]))
    options = experiment.study.config["datasets"][experiment.dataset]
    known = datasets.SIZES.get(options["kind"])
    if known is None:
        raise InputError(
            f"datasets.{experiment.dataset}: the size of kind {options['kind']} is known only when it is prepared; "
            f"run the target `datasets` first"
        )
    train, test, height, width, channels = known
    classes = datasets.CLASSES[options["kind"]]
    if options.get("per_class") is not None:
        train, test = (min(images, options["per_class"] * classes) for images in (train, test))
    if options["test_fraction"] is not None:
        test = math.ceil(train * options["test_fraction"])
        train -= test
    val = math.ceil(train * options["validation_fraction"])  # as `preparation.prepare` splits
    return DatasetSize(train - val, val, test, height, width, channels, classes)


@dataclass(frozen=True)
class NetworkSize:
    """Operations of a forward pass of one image (a multiply-add is two), bytes of all weights, and d."""

    forward_operations: int
    weight_bytes: int
    feature_dimension: int


def network_size(experiment: Experiment, size: DatasetSize, width: float) -> NetworkSize:
    """Counted on the network itself, without memory for it."""
    options = experiment.config["network"]
    return _network_size(tuple(sorted(options.items())), size, width)


@cache
def _network_size(options: tuple, size: DatasetSize, width: float) -> NetworkSize:
    with torch.device("meta"):
        network = _build(dict(options), size, width)
        images = torch.empty(1, size.channels, size.height, size.width)
    with FlopCounterMode(display=False) as counter:
        network.eval()(images)
    weight_bytes = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    return NetworkSize(counter.get_total_flops(), weight_bytes, network.classifier.in_features)


def measured_rate(experiment: Experiment, size: DatasetSize, width: float) -> float:
    """Operations a second of a training step on this machine, on one GPU or with one job's CPU threads."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    one = TRAINING_FACTOR * network_size(experiment, size, width).forward_operations
    batch = experiment.config["training"]["batch_size"]
    if device.type == "cpu":
        torch.set_num_threads(experiment.study.compute["threads"])
        batch = max(2, min(batch, int(_TIMED_OPERATIONS / one)))
    network = _build(experiment.config["network"], size, width).to(device, memory_format=torch.channels_last)
    images = torch.randn(batch, size.channels, size.height, size.width, device=device)
    labels = torch.zeros(batch, dtype=torch.int64, device=device)

    def step() -> float:
        started = time.perf_counter()
        network.zero_grad(set_to_none=True)
        losses.cross_entropy(network(images)[0], labels).backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    step()
    return batch * one / min(step() for _ in range(3))


def _build(options: dict, size: DatasetSize, width: float) -> networks.Network:
    keywords = {key: value for key, value in options.items() if key != "kind"}
    build = getattr(networks, options["kind"])
    return build(width=width, classes=size.classes, channels=size.channels, **keywords)


def table(costs: dict[str, Cost]) -> pd.DataFrame:
    """The plan for reading: a column an experiment, units in the row names."""
    rows = {
        "runs": lambda cost: f"{cost.runs:,}",
        "trainings: shared stems": lambda cost: f"{cost.stems:,}",
        "trainings: runs and candidates": lambda cost: f"{cost.trainings:,}",
        "epochs, each run alone": lambda cost: f"{cost.epochs_alone:,}",
        "epochs, with shared stems": lambda cost: f"{cost.epochs:,}",
        "operations, PFLOP": lambda cost: f"{cost.operations / 1e15:,.1f}",
        "device hours": lambda cost: f"{cost.device_hours:,.1f}",
        "disk at the end, GB": lambda cost: f"{cost.disk_end / 1e9:,.2f}",
        "disk at the end, largest run, GB": lambda cost: f"{cost.disk_end_of_run / 1e9:,.3f}",
        "disk in between, for each device, GB": lambda cost: f"{cost.disk_temporary / 1e9:,.2f}",
        "disk at its peak, one device, GB": lambda cost: f"{(cost.disk_end + cost.disk_temporary) / 1e9:,.2f}",
        "jobs of the workflow": lambda cost: f"{cost.jobs:,}",
    }
    return pd.DataFrame({name: [show(cost) for show in rows.values()] for name, cost in costs.items()}, index=[*rows])
