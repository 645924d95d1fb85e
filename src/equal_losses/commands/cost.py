"""What a study costs, before it is run: epochs, operations, device hours and disk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from equal_losses.losses.cross_entropy import cross_entropy
from equal_losses.networks.network import Network
from equal_losses.running.checkpoints import KEPT
from equal_losses.running.errors import InputError
from equal_losses.running.files import read_json
from equal_losses.running.words import count
from equal_losses.study import kinds
from equal_losses.study.grid import Experiment, Run, Stack
from equal_losses.training.loop import assembled

# Forward and backward pass together cost three forward passes: the backward pass has two products for each one.
TRAINING_FACTOR = 3
# A training state holds the weights and the best ones, and what the optimiser keeps of them.
STATE_WEIGHTS = 2
OPTIMIZER_BUFFERS = 2  # where a kind does not say
# Seconds of a job that trains or takes features before and after what it computes: on the machine of
# docs/performance.md, and on slower ones.
JOB_SECONDS = (2, 6)
TIMED_STEPS = 5
# A step small enough to time within a second or two on a CPU.
_TIMED_OPERATIONS = 2e11


@dataclass(frozen=True)
class Cost:
    """What an experiment costs.

    Attributes:
        runs: points of the grid.
        trunks, trainings: jobs that train: shared trunks, and what goes on from there to its end.
        epochs_alone, epochs: of all runs and candidates if none shared a trunk, and as they are.
        jobs: trainings, trunks and extractions of features.
        operations: multiply-adds, counted as two, of training and evaluation.
        device_hours, device_hours_most: at the rate measured or given, and as long as it may take.
        disk_end, disk_end_of_run: bytes that are kept, of all and of a run of the largest width, but for tables and
            records, which are some hundred kilobytes per run.
        disk_temporary: bytes that come and go with one training of the largest width, when there are most of them; the
            peak is disk_end and as many times this as devices work at a time.
    """

    runs: int
    trunks: int
    trainings: int
    jobs: int
    epochs_alone: int
    epochs: int
    operations: float
    device_hours: float
    device_hours_most: float
    disk_end: int
    disk_end_of_run: int
    disk_temporary: int


def experiment_cost(
    experiment: Experiment, size: DatasetSize, operations_per_second: float | None, report: Callable = lambda line: None
) -> Cost:
    """Cost of one experiment.

    Args:
        operations_per_second: effective rate of the device; if None, the training step of every network is timed here.
        report: told what is timed.
    """
    trainings, trunks = experiment.trainings, experiment.trunks
    operations = least = most = 0.0
    disk_end = disk_end_of_run = disk_temporary = 0
    for width in sorted(experiment.config["widths"]):
        network = network_size(experiment, size, width)
        of_width = [training for training in trainings if training.width == width]
        epochs = sum(len(part.members) * part.own_epochs for part in (*trainings, *trunks) if part.width == width)
        measured = [training for training in of_width if training.has_features]
        snapshots = sum(len(training.members) * (len(training.snapshot_epochs) + 1) for training in measured)
        images = epochs * (TRAINING_FACTOR * size.train + size.val) + snapshots * (size.train + size.val + size.test)
        operations += images * network.forward_operations
        rates = 2 * [operations_per_second]
        if operations_per_second is None:
            report(f"{experiment.name}: timing {TIMED_STEPS} steps of {experiment.config['network']['kind']} {width:g}")
            rates = measured_rates(experiment, size, width)
        least += images * network.forward_operations / max(rates) / 3600
        most += images * network.forward_operations / min(rates) / 3600

        # Class means and W, counts, variances and b, in float64.
        features_of_snapshot = 8 * size.classes * (2 * network.feature_dimension + 3)
        kept = experiment.config["keep_snapshots"]
        longest = max(len(training.snapshot_epochs) for training in of_width)
        weights = 2 * network.weight_bytes  # best and final
        disk_end += sum(len(training.members) for training in of_width) * weights + snapshots * features_of_snapshot
        disk_end_of_run = weights + (longest + 1) * features_of_snapshot
        if kept:
            disk_end += sum(len(each.members) * len(each.snapshot_epochs) for each in of_width) * network.weight_bytes
            disk_end_of_run += longest * network.weight_bytes
        disk_temporary = network.weight_bytes * max(_temporary_copies(training, kept) for training in of_width)
    with_features = [part for part in trainings if part.has_features]
    jobs = len(trainings) + len(trunks) + len(with_features)
    return Cost(
        runs=len(experiment.runs),
        trunks=len(trunks),
        trainings=len(trainings),
        jobs=jobs,
        epochs_alone=sum(len(training.members) * training.epochs for training in trainings),
        epochs=sum(len(part.members) * part.own_epochs for part in (*trainings, *trunks)),
        operations=operations,
        device_hours=least + jobs * JOB_SECONDS[0] / 3600,
        device_hours_most=most + jobs * JOB_SECONDS[1] / 3600,
        disk_end=disk_end,
        disk_end_of_run=disk_end_of_run,
        disk_temporary=disk_temporary,
    )


def _temporary_copies(training: Run | Stack, kept: bool) -> int:
    """Copies of the weights that are on disk for a while, when a training is near its end.

    There are most of them while a state is written, or while snapshots are gathered: from one file each, but for those
    of its trunk, which are in one file there. Other runs of the same trunk are done by then, or not yet begun, because
    the workflow prefers what frees disk.
    """
    trunk, epochs = training.trunk, training.snapshot_epochs
    own = [epoch for epoch in epochs if trunk is None or epoch > trunk.to]
    optimizer = training.experiment.config["training"]["optimizer"]["kind"]
    buffers = kinds.constant("optimizers", optimizer, "BUFFERS")
    state = STATE_WEIGHTS + (OPTIMIZER_BUFFERS if buffers is None else buffers)
    waiting = len(own) + (len(trunk.snapshot_epochs) if trunk else 0) + state * (KEPT + (trunk is not None))
    return len(training.members) * (waiting + max(state, 0 if kept else len(epochs)))


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


def dataset_size(experiment: Experiment, manifest: Path) -> DatasetSize:
    """From the manifest if the dataset is prepared, otherwise from what its kind is known to hold.

    Raises:
        InputError: where the number of images is known only after the dataset is prepared, and it is not.
    """
    if manifest.exists():
        content = read_json(manifest)
        counts = {split: sum(numbers) for split, numbers in content["counts"].items()}
        height, width, channels = content["image_shape"]
        return DatasetSize(**counts, height=height, width=width, channels=channels, classes=len(content["classes"]))
    options = experiment.study.config["datasets"][experiment.dataset]
    size = kinds.constant("datasets", options["kind"], "SIZE")
    if size is None:
        raise InputError(
            f"datasets.{experiment.dataset}: the size of kind {options['kind']} is known only when it is prepared; "
            f"run the target `datasets` first"
        )
    train, test, height, width, channels = size
    classes = kinds.constant("datasets", options["kind"], "CLASSES")
    chosen = (options.get(key) for key in ("per_class", "test_per_class"))
    train, test = (all_ if each is None else each * classes for all_, each in zip((train, test), chosen, strict=True))
    if options["test_fraction"] is not None:
        test = math.ceil(train * options["test_fraction"])
        train -= test
    val = math.ceil(train * options["validation_fraction"])  # as `prepared.prepare` splits
    return DatasetSize(train - val, val, test, height, width, channels, classes)


@dataclass(frozen=True)
class NetworkSize:
    """Operations of a forward pass of one image (a multiply-add is two), bytes of all weights, and d."""

    forward_operations: int
    weight_bytes: int
    feature_dimension: int


def network_size(experiment: Experiment, size: DatasetSize, width: float) -> NetworkSize:
    """Counted on the network itself, without memory for it."""
    network, head = (tuple(sorted(experiment.config[part].items())) for part in ("network", "head"))
    return _network_size(network, head, size, width)


@cache
def _network_size(network: tuple, head: tuple, size: DatasetSize, width: float) -> NetworkSize:
    with torch.device("meta"):
        network = _build({"network": dict(network), "head": dict(head)}, size, width)
        images = torch.empty(1, size.channels, size.height, size.width)
    with FlopCounterMode(display=False) as counter:
        network.eval()(images)
    weight_bytes = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    return NetworkSize(counter.get_total_flops(), weight_bytes, network.classifier.in_features)


def measured_rates(experiment: Experiment, size: DatasetSize, width: float) -> list[float]:
    """Operations a second of training steps on this machine, on one GPU or with one job's CPU threads."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    one = TRAINING_FACTOR * network_size(experiment, size, width).forward_operations
    batch = experiment.config["training"]["batch_size"]
    if device.type == "cpu":
        torch.set_num_threads(experiment.study.compute["threads"])
        batch = max(2, min(batch, int(_TIMED_OPERATIONS / one)))
    network = _build(experiment.config, size, width).to(device, memory_format=torch.channels_last)
    images = torch.randn(batch, size.channels, size.height, size.width, device=device)
    labels = torch.zeros(batch, dtype=torch.int64, device=device)

    def step() -> float:
        started = time.perf_counter()
        network.zero_grad(set_to_none=True)
        cross_entropy(network(images)[0], labels).backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    step()
    return [batch * one / step() for _ in range(TIMED_STEPS)]


def _build(config: Mapping, size: DatasetSize, width: float) -> Network:
    settings = {"network": {**config["network"], "width": width}, "head": config["head"]}
    return assembled(settings, size.classes, size.channels)


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of experiments; of what is there for a while, and of one run, the most."""
    columns = {field.name: [getattr(cost, field.name) for cost in costs] for field in fields(Cost)}
    largest = ("disk_end_of_run", "disk_temporary")
    return Cost(**{name: max(values) if name in largest else sum(values) for name, values in columns.items()})


def table(costs: dict[str, Cost], devices: int) -> pd.DataFrame:
    """The plan for reading: one column per experiment, and one for the total where there are several."""
    rows = {
        "runs": lambda cost: f"{cost.runs:,}",
        "trainings: shared trunks": lambda cost: f"{cost.trunks:,}",
        "trainings to their end": lambda cost: f"{cost.trainings:,}",
        "epochs, each run alone": lambda cost: f"{cost.epochs_alone:,}",
        "epochs, with shared trunks": lambda cost: f"{cost.epochs:,}",
        "operations": lambda cost: _scaled(cost.operations),
        "time of one device": lambda cost: span(cost.device_hours, cost.device_hours_most),
        f"time on {devices} devices": lambda cost: span(cost.device_hours / devices, cost.device_hours_most / devices),
        "disk at the end, GB": lambda cost: f"{cost.disk_end / 1e9:,.2f}",
        "disk at the end, largest run, GB": lambda cost: f"{cost.disk_end_of_run / 1e9:,.3f}",
        "disk in between, for each device, GB": lambda cost: f"{cost.disk_temporary / 1e9:,.2f}",
        f"disk at its peak, {count(devices, 'device')}, GB": lambda cost: (
            f"{(cost.disk_end + devices * cost.disk_temporary) / 1e9:,.2f}"
        ),
    }
    if devices == 1:
        del rows["time on 1 devices"]
    columns = costs if len(costs) == 1 else {**costs, "total": total(costs.values())}
    return pd.DataFrame({name: [show(cost) for show in rows.values()] for name, cost in columns.items()}, index=[*rows])


def span(low: float, high: float) -> str:
    """A range of hours, in the unit of its upper end: "40 to 90 s", "3 to 5 min", "1.2 to 2 h", "800 to 1,200 h"."""
    factors = {"s": 3600, "min": 60, "h": 1}
    unit = "s" if high * 3600 < 120 else "min" if high * 60 < 120 else "h"
    values = (hours * factors[unit] for hours in (low, high))
    texts = (f"{value:.2g}" if value < 10 else f"{float(f'{value:.3g}'):,.0f}" for value in values)
    return f"{' to '.join(dict.fromkeys(texts))} {unit}"


def _scaled(operations: float) -> str:
    prefix, factor = next((each for each in (("P", 1e15), ("T", 1e12)) if operations >= each[1]), ("G", 1e9))
    return f"{float(f'{operations / factor:.3g}'):,g} {prefix}FLOP"
