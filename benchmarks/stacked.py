"""Several small trainings as one batched computation, against the same trainings as jobs of their own on two cores.

The workflow's form, `grouped`, folds the networks into the channels of one (see `training.stacking`). Beside it is
`vmapped`, that of torch.func: `functional_call` under `vmap` over the same parameters. Both train in the library's
loop.
"""

from __future__ import annotations

import copy
import multiprocessing
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean, median
from unittest.mock import patch

import torch
from harness import Ratios, Row, Table, record, seconds
from torch import Tensor
from torch.func import functional_call, vmap
from training import longest_run, prepared

from equal_losses.datasets.digits import digits
from equal_losses.datasets.prepared import PreparedDataset
from equal_losses.networks.network import Network
from equal_losses.training import loop, stacking, together
from equal_losses.training.batches import Normalization
from equal_losses.training.numerics import reproducible
from equal_losses.training.state import TrainingState

CPU = torch.device("cpu")
CORES = 2
ROUNDS = 4
EPOCHS = 2  # that are timed, after one that warms up
TARGET = 1.3
WHY = {
    "a core each": "most of the time at this width goes to the operations of convolutions, which a stack does not save",
    "both cores": "two threads on one stack gain less than a stack on each core, in the row above",
}
ROUNDING = 2**-23  # float32's, relative
SHORT = 10  # epochs of a training whose validation accuracies are compared
WIDTHS = (0.25, 0.5, 1)
# The trainings of a stack; the last are those of the demo at one width and budget.
STACKS = {
    2: [(loss, seed) for loss in ("CE",) for seed in (1, 2)],
    4: [(loss, seed) for loss in ("CE", "LS") for seed in (1, 2)],
    8: [(loss, seed) for loss in ("CE", "FL", "LS", "MSE") for seed in (1, 2)],
}


# The batched computation


class Vmapped(stacking.StackedNetwork):
    """The networks under `vmap`; not channels last, because the pooling of that layout has no batched form."""

    def __init__(self, members: Sequence[Network], images: Tensor) -> None:
        super().__init__(members)
        self.network.to(memory_format=torch.contiguous_format)
        # In a list, so that its parameters are not this network's.
        self._form = [copy.deepcopy(members[0])]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As that of a stacked network."""
        (form,) = self._form
        form.train(self.training)
        tensors = {
            name: tensor.unflatten(0, (self.size, -1)) if tensor.dim() else tensor.repeat(self.size)
            for name, tensor in [*self.network.named_parameters(), *self.network.named_buffers()]
        }
        own_images = images.expand(self.size, *images.shape[-4:]).contiguous()
        return vmap(lambda own, batch: functional_call(form, own, (batch,)))(tensors, own_images)


Form = Callable[[Sequence[Network], Tensor], stacking.StackedNetwork]
grouped: Form = stacking.stacked
vmapped: Form = Vmapped


def trained_together(
    form: Form, members: Sequence[Mapping], dataset: PreparedDataset, until: int
) -> list[TrainingState]:
    """The trainings as one in a form."""
    named = {f"member {number}": settings for number, settings in enumerate(members)}
    with patch.object(stacking, "stacked", form):
        *_, states = together.train_together(named, dataset, device=CPU, until=until)
    return states


# Two cores


def train_separately(members: Sequence[Mapping], dataset: PreparedDataset) -> float:
    """Images per second while an epoch trains, of one training after the other."""
    rows: list[Mapping[str, float]] = []
    for settings in members:
        *_, state = loop.train(settings, dataset, device=CPU, until=1 + EPOCHS)
        rows += state.history
    return images_a_second(rows)


def train_stacked(form: Form, members: Sequence[Mapping], dataset: PreparedDataset) -> float:
    """The same of the networks together; an image counts once for each network that it trains."""
    states = trained_together(form, members, dataset, 1 + EPOCHS)
    return images_a_second([row for state in states for row in state.history])


def images_a_second(rows: Sequence[Mapping[str, float]]) -> float:
    """Of rows of histories, without those of first epochs, which warm up."""
    return 1 / mean(1 / row["images_per_second"] for row in rows if row["epoch"] > 1)


def serve(manifest: Path, connection: Connection) -> None:
    """In a process of its own: train what is asked for with so many threads, and return images per second."""
    dataset = PreparedDataset.open(manifest)
    while (request := connection.recv()) is not None:
        train, members, threads = request
        with reproducible(threads):
            connection.send(train(members, dataset))


class Cores:
    """One process per core, started once, because what is compared is the training and not the start."""

    def __init__(self, manifest: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.connections, self.processes = [], []
        for _ in range(CORES):
            ours, theirs = context.Pipe()
            self.processes.append(context.Process(target=serve, args=(manifest, theirs), daemon=True))
            self.processes[-1].start()
            self.connections.append(ours)

    def rate(self, train: Callable[..., float], shares: Sequence[Sequence[Mapping]]) -> float:
        """Images per second of all shares of the trainings at once, one process each, which share the cores equally."""
        busy = self.connections[: len(shares)]
        for connection, share in zip(busy, shares, strict=True):
            connection.send((train, share, CORES // len(shares)))
        return sum(connection.recv() for connection in busy)

    def __enter__(self) -> Cores:
        return self

    def __exit__(self, *_: object) -> None:
        for connection, process in zip(self.connections, self.processes, strict=True):
            connection.send(None)
            process.join()


# What is measured

WAYS = {
    "both cores": "one stack on both cores",
    "a core each": "two stacks, a core each",
    "vmapped": "two stacks `vmapped`, a core each",
}


def rates(cores: Cores, members: Sequence[Mapping]) -> list[dict[str, float]]:
    """Images per second of separate jobs, two at a time, and of each way to train the stack, in turn; one per round."""
    ways = {
        "separate": (train_separately, [members[0::CORES], members[1::CORES]]),
        "both cores": (partial(train_stacked, grouped), [members]),
        "a core each": (partial(train_stacked, grouped), [members] * CORES),
        "vmapped": (partial(train_stacked, vmapped), [members] * CORES),
    }
    return [{name: cores.rate(*way) for name, way in ways.items()} for _ in range(ROUNDS)]


def over_separate(rounds: Sequence[Mapping[str, float]], way: str) -> Ratios:
    """Seconds per image, of a way to train the stack and of separate jobs."""
    return Ratios([1 / each[way] for each in rounds], [1 / each["separate"] for each in rounds])


def difference(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """The largest difference of a weight over the largest weight of its tensor, at the worst of the tensors."""
    return max(
        float((tensor - theirs[name]).abs().max() / theirs[name].abs().max())
        for name, tensor in ours.items()
        if tensor.dim()
    )


def trained_alone(
    members: Sequence[Mapping], dataset: PreparedDataset, until: int, rounding: float = 0
) -> list[TrainingState]:
    """The separate trainings, from first weights that are all too large by a relative `rounding`."""
    states = []
    for settings in members:
        first = loop.build_network(settings, dataset).state_dict()
        first = {name: tensor * (1 + rounding) if tensor.dim() else tensor for name, tensor in first.items()}
        start = TrainingState(0, first)
        states += list(loop.train(settings, dataset, device=CPU, start=start, until=until))[-1:]
    return states


def agreement(members: Sequence[Mapping], one_batch: PreparedDataset, dataset: PreparedDataset) -> list[list[float]]:
    """How far the trainings of a stack are from separate ones.

    Returns:
        One list for each column of `agreement_table`, with one value per training.
    """
    columns = []

    def compare(data: PreparedDataset) -> list[dict[str, Tensor]]:
        alone = [state.weights for state in trained_alone(members, data, 1)]
        for form in (grouped, vmapped):
            stacked = trained_together(form, members, data, 1)
            columns.append([difference(state.weights, own) for state, own in zip(stacked, alone, strict=True)])
        return alone

    with reproducible(1):
        compare(one_batch)  # whose first epoch is the first step
        alone = compare(dataset)
        rounded = trained_alone(members, dataset, 1, ROUNDING)
        columns.append([difference(state.weights, own) for state, own in zip(rounded, alone, strict=True)])
        with float64():
            compare(dataset)
        short = [{**settings, "epochs": SHORT} for settings in members]
        ways = (
            trained_together(grouped, short, dataset, SHORT),
            *(trained_alone(short, dataset, SHORT, rounding) for rounding in (0, ROUNDING)),
        )
        columns += [[state.history[-1]["val_accuracy"] for state in states] for states in ways]
    return columns


@contextmanager
def float64() -> Iterator[None]:
    """Networks and images of twice the precision, in which trainings that compute the same agree to many digits."""
    build, normalize = loop.build_network, Normalization.__call__
    with (
        patch.object(loop, "build_network", lambda *arguments: build(*arguments).double()),
        patch.object(together, "build_network", loop.build_network),
        patch.object(Normalization, "__call__", lambda *arguments: normalize(*arguments).double()),
    ):
        yield


def members_of(width: float, size: int) -> list[dict]:
    """Settings of the demo's longest runs in a stack of this size."""
    return [longest_run("demo", "demo", width, *member) for member in STACKS[size]]


def start() -> None:
    """What a job does before it trains."""
    subprocess.run([sys.executable, "-c", "import equal_losses.training.job"], check=True)


def main() -> None:
    """Time every stack at every width, and compare the weights of the demo's."""
    images = digits()
    few = replace(images, train_images=images.train_images[:100], train_labels=images.train_labels[:100])
    rows, speeds = [], []
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepared(Path(folder) / "digits", images, 0.1, 0.2)
        one_batch = prepared(Path(folder) / "few", few, 0.2, 0.2)
        columns = agreement(members_of(0.5, 8), one_batch, dataset)
        with Cores(Path(folder) / "digits" / "manifest.json") as cores:
            for width, size in product(WIDTHS, STACKS):
                rounds = rates(cores, members_of(width, size))
                ratios = {way: over_separate(rounds, way) for way in WAYS}
                typical = {way: median(each[way] for each in rounds) for way in rounds[0]}
                speeds.append([f"{width}", f"{size}", f"{typical['separate']:,.0f}", *map(str, ratios.values())])
                if size == max(STACKS):
                    rows += [row(width, size, way, typical, ratios[way]) for way in ("a core each", "both cores")]
    started = median(seconds(start) for _ in range(3))
    record("Several trainings as one", rows, [speed_table(speeds, started), agreement_table(columns)])


def row(width: float, size: int, way: str, typical: Mapping[str, float], ratios: Ratios) -> Row:
    """The row of a width and a way to train its largest stack."""
    met = ratios.speedup >= TARGET
    return Row(
        figure=f"{size} trainings as one, width {width}, {WAYS[way]}: {typical[way]:,.0f} images/s",
        alternative=f"separate jobs, a core each: {typical['separate']:,.0f} images/s",
        ratio=str(ratios),
        target=f">= {TARGET:g}",
        met=met,
        why="" if met else WHY[way],
    )


def speed_table(speeds: Sequence[Sequence[str]], started: float) -> Table:
    """Images per second of every stack."""
    return Table(
        "The demo's network and images; `stack`, a key of an experiment, asks for it. Images per second of separate "
        "jobs, two at a time on a core each, and how many times as many a stack trains (`grouped`, but for the last "
        f"column). Starting Python and PyTorch, {started:.1f} s, is counted nowhere: a stack does it once, separate "
        "jobs once each. A third form, convolutions as batched products of unfolded images and stacked kernels, is "
        "left out: its convolutions took longer than those of separate networks.",
        ["width", "trainings", "separate jobs, images/s", *WAYS.values()],
        speeds,
    )


def agreement_table(columns: Sequence[Sequence[float]]) -> Table:
    """What `agreement` found for the largest stack, one row per loss."""
    losses = [loss for loss, _ in STACKS[8]]
    rows = []
    for loss in dict.fromkeys(losses):
        chosen = [[value for value, name in zip(column, losses, strict=True) if name == loss] for column in columns]
        differences, accuracies = chosen[:-3], chosen[-3:]
        rows.append(
            [loss, *(f"{max(each):.0e}" for each in differences), *(f"{mean(each):.1%}" for each in accuracies)]
        )
    return Table(
        "Eight trainings at width 0.5 as one and separately. Weights: the largest difference from the separate "
        "training over the largest weight of the tensor, at the worst of tensors and seeds. Rounded: separate "
        f"trainings whose first weights are all larger by {ROUNDING:.0e}. A last digit that brings a float32 ReLU to "
        "the other side of zero becomes a visible difference; float64 tells rounding from anything else. Accuracies: "
        f"on the validation images, means over the seeds, after a training of {SHORT} epochs.",
        [
            "loss",
            *(f"step 1: {what}" for what in ("grouped", "vmapped")),
            *(f"epoch 1: {what}" for what in ("grouped", "vmapped", "rounded")),
            *(f"epoch 1, float64: {what}" for what in ("grouped", "vmapped")),
            *(f"accuracy: {what}" for what in ("grouped", "separate", "rounded")),
        ],
        rows,
    )


if __name__ == "__main__":
    main()
