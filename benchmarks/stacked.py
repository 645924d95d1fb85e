"""Several small trainings as one batched computation, against the same trainings as jobs of their own on two cores.

Two forms of the batched computation. `grouped` folds the networks into the channels of one: S x C channels,
convolutions in S groups, and a batch norm whose statistics are by channel in any case. `vmapped` is torch.func's:
`functional_call` under `vmap` over stacked parameters and buffers. Both clip the gradient of each network by its own
norm, and each network has its own order of the images.
"""

from __future__ import annotations

import copy
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean, median
from unittest.mock import patch

import torch
from harness import Ratios, Row, Table, record, seconds
from neural_collapse import configuration, datasets, networks, preparation, training
from neural_collapse.schedule import learning_rate
from neural_collapse.study import Study
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")
CORES = 2
ROUNDS = 4
EPOCHS = 2  # that are timed, after one that warms up
TARGET = 1.3
WHY = {
    "a core each": "most of the time at this width are operations of the convolutions, which a stack does not save",
    "both cores": "two threads on one stack gain less than a stack on each core, in the row above",
}
ROUNDING = 2**-23  # float32's, relative
SHORT = 10  # epochs of a training whose validation accuracies are compared
WIDTHS = ("0.25", "0.5", "1")
# The trainings of a stack; the last are those of the demo at one width and budget.
STACKS = {
    2: [(loss, seed) for loss in ("CE",) for seed in ("1", "2")],
    4: [(loss, seed) for loss in ("CE", "LS") for seed in ("1", "2")],
    8: [(loss, seed) for loss in ("CE", "FL", "LS", "MSE") for seed in ("1", "2")],
}


# The batched computation


@dataclass(frozen=True)
class Stack:
    """S networks as one.

    Attributes:
        parameters: the first dimension of each is S, or S times what it is in one network.
        logits: images (S x B x C x H x W) to logits (S x B x K), in training mode or not.
        weights: parameters and buffers of each network by name.
    """

    parameters: list[Tensor]
    logits: Callable[[Tensor, bool], Tensor]
    weights: Callable[[], list[dict[str, Tensor]]]


Form = Callable[[Sequence[networks.Network]], Stack]


def grouped(members: Sequence[networks.Network]) -> Stack:
    """The networks folded into the channels of one; whatever is not a convolution or batch norm is as it was."""
    size = len(members)
    backbone = copy.deepcopy(members[0].backbone)
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            parts = [member.backbone.get_submodule(name).state_dict() for member in members]
            for key, tensor in module.state_dict().items():
                if tensor.dim():  # the number of batches that a batch norm saw is the same for all
                    folded = torch.cat([part[key] for part in parts])
                    setattr(module, key, nn.Parameter(folded) if key in ("weight", "bias") else folded)
        if isinstance(module, nn.Conv2d):
            module.groups *= size
    backbone.to(memory_format=torch.channels_last)
    # K x d a network, and not a convolution.
    classifier, _ = stack_module_state([member.classifier for member in members])

    def logits(images: Tensor, train: bool) -> Tensor:
        backbone.train(train)
        batch = images.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
        features = backbone(batch).unflatten(1, (size, -1)).transpose(0, 1)
        return torch.baddbmm(classifier["bias"].unsqueeze(1), features, classifier["weight"].mT)

    def weights() -> list[dict[str, Tensor]]:
        state = backbone.state_dict().items()
        parts = {f"backbone.{name}": tensor.chunk(size) for name, tensor in state if tensor.dim()}
        parts |= {f"classifier.{name}": tensor.detach().unbind() for name, tensor in classifier.items()}
        return [{name: part[index].clone() for name, part in parts.items()} for index in range(size)]

    return Stack([*backbone.parameters(), *classifier.values()], logits, weights)


def vmapped(members: Sequence[networks.Network]) -> Stack:
    """The networks under `vmap`; not channels last, because the pooling of that layout has no batched form."""
    members = [copy.deepcopy(member).to(memory_format=torch.contiguous_format) for member in members]
    parameters, buffers = stack_module_state(members)
    skeleton = members[0]

    def logits(images: Tensor, train: bool) -> Tensor:
        skeleton.train(train)
        call = vmap(lambda weights, statistics, batch: functional_call(skeleton, (weights, statistics), (batch,))[0])
        return call(parameters, buffers, images.contiguous())

    def weights() -> list[dict[str, Tensor]]:
        stacked = {name: tensor.detach() for name, tensor in (parameters | buffers).items() if tensor.dim() > 1}
        return [{name: tensor[index].clone() for name, tensor in stacked.items()} for index in range(len(members))]

    return Stack(list(parameters.values()), logits, weights)


class StackedTraining:
    """`training.train` of several settings that differ in seed and loss alone."""

    def __init__(self, form: Form, members: Sequence[Mapping], dataset: preparation.PreparedDataset) -> None:
        self.members, self.settings = members, members[0]
        self.images, self.validation = (training.DeviceImages.load(dataset, split, CPU) for split in ("train", "val"))
        self.normalization = training.Normalization.of(self.settings, dataset, CPU, "train")
        self.losses = [training.build_loss(settings) for settings in members]
        self.stack = form([training.build_network(settings, dataset) for settings in members])
        options = {key: self.settings[key] for key in ("momentum", "weight_decay")}
        self.optimizer = torch.optim.SGD(
            self.stack.parameters, lr=self.settings["learning_rate"], fused=True, **options
        )

    def train_epoch(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Mean loss and accuracy of each network over the epoch."""
        settings, count = self.settings, len(self.images)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(epoch, settings["epochs"], settings)
        randomness = [training.EpochRandomness(member, epoch, count, CPU) for member in self.members]
        total, correct = torch.zeros(len(self.members)), torch.zeros(len(self.members), dtype=torch.int64)
        for begin in range(0, count, settings["batch_size"]):
            positions = slice(begin, begin + settings["batch_size"])
            picked = [each.order[positions] for each in randomness]
            pixels = [
                each.augmented(self.images.images[indices], positions)
                for each, indices in zip(randomness, picked, strict=True)
            ]
            labels = self.images.labels[torch.stack(picked)]
            logits = self.stack.logits(self._normalized(torch.stack(pixels)), True).float()  # as `train` has it
            losses = torch.stack([loss(*pair) for loss, *pair in zip(self.losses, logits, labels, strict=True)])
            self.optimizer.zero_grad(set_to_none=True)
            losses.sum().backward()
            self._clip(settings["clip_norm"])
            self.optimizer.step()
            total += losses.detach() * labels.shape[1]
            correct += (logits.detach().argmax(dim=2) == labels).sum(dim=1)
        return total / count, correct / count

    def _normalized(self, pixels: Tensor) -> Tensor:
        """S x B x H x W x C, uint8, to S x B x C x H x W, float32."""
        return self.normalization(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2])

    def _clip(self, limit: float) -> None:
        """`clip_grad_norm_` for each network."""
        size = len(self.members)
        gradients = [parameter.grad.unflatten(0, (size, -1)) for parameter in self.stack.parameters]
        norms = [torch.linalg.vector_norm(each, dim=tuple(range(1, each.dim()))) for each in gradients]
        factors = (limit / (torch.linalg.vector_norm(torch.stack(norms), dim=0) + 1e-6)).clamp(max=1)
        for each in gradients:
            each.mul_(factors.view(size, *[1] * (each.dim() - 1)))

    @torch.inference_mode()
    def validation_accuracies(self) -> list[float]:
        """0..1, of each network in evaluation mode."""
        pixels = self._normalized(self.validation.images.expand(len(self.members), -1, -1, -1, -1))
        found = self.stack.logits(pixels, False).argmax(dim=2)
        return (found == self.validation.labels).double().mean(dim=1).tolist()


# Two cores


def train_separately(members: Sequence[Mapping], dataset: preparation.PreparedDataset) -> float:
    """Images a second while an epoch trains, of one training after the other."""
    rows: list[Mapping[str, float]] = []
    for settings in members:
        training.train(settings, dataset, device=CPU, until=1 + EPOCHS, report=rows.append)
    return 1 / mean(1 / row["images_per_second"] for row in rows if row["epoch"] > 1)


def train_stacked(form: Form, members: Sequence[Mapping], dataset: preparation.PreparedDataset) -> float:
    """The same of the networks together; an image counts once for each network that it trains."""
    stacked = StackedTraining(form, members, dataset)
    stacked.train_epoch(0)
    started = time.perf_counter()
    for epoch in range(1, 1 + EPOCHS):
        stacked.train_epoch(epoch)
    return EPOCHS * len(stacked.images) * len(members) / (time.perf_counter() - started)


def serve(manifest: Path, connection: Connection) -> None:
    """Of a process of its own: train what is asked for with so many threads, and answer images a second."""
    dataset = preparation.PreparedDataset.open(manifest)
    while (request := connection.recv()) is not None:
        train, members, threads = request
        with training.reproducible(threads):
            connection.send(train(members, dataset))


class Cores:
    """A process a core, started once, because what is compared is the training and not the start."""

    def __init__(self, manifest: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.connections, self.processes = [], []
        for _ in range(CORES):
            ours, theirs = context.Pipe()
            self.processes.append(context.Process(target=serve, args=(manifest, theirs), daemon=True))
            self.processes[-1].start()
            self.connections.append(ours)

    def rate(self, train: Callable[..., float], shares: Sequence[Sequence[Mapping]]) -> float:
        """Images a second of all shares of the trainings at once, a process each, which share the cores equally."""
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
    """Images a second of separate jobs, two at a time, and of each way to train the stack; in turn, a round each."""
    ways = {
        "separate": (train_separately, [members[0::CORES], members[1::CORES]]),
        "both cores": (partial(train_stacked, grouped), [members]),
        "a core each": (partial(train_stacked, grouped), [members] * CORES),
        "vmapped": (partial(train_stacked, vmapped), [members] * CORES),
    }
    return [{name: cores.rate(*way) for name, way in ways.items()} for _ in range(ROUNDS)]


def over_separate(rounds: Sequence[Mapping[str, float]], way: str) -> Ratios:
    """Seconds an image, of a way to train the stack and of separate jobs."""
    return Ratios([1 / each[way] for each in rounds], [1 / each["separate"] for each in rounds])


def difference(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """The largest difference of a weight over the largest weight of its tensor, at the worst of the tensors."""
    return max(
        float((tensor - theirs[name]).abs().max() / theirs[name].abs().max())
        for name, tensor in ours.items()
        if tensor.dim()
    )


def trained_alone(
    members: Sequence[Mapping], dataset: preparation.PreparedDataset, until: int, rounding: float = 0
) -> list[training.TrainingState]:
    """The separate trainings, from first weights that are all too large by a relative `rounding`."""
    states = []
    for settings in members:
        first = training.build_network(settings, dataset).state_dict()
        first = {name: tensor * (1 + rounding) if tensor.dim() else tensor for name, tensor in first.items()}
        start = training.TrainingState(0, first)
        states.append(training.train(settings, dataset, device=CPU, start=start, until=until))
    return states


def trained_together(
    members: Sequence[Mapping], dataset: preparation.PreparedDataset, until: int, form: Form
) -> StackedTraining:
    """The same trainings as a stack."""
    stacked = StackedTraining(form, members, dataset)
    for epoch in range(until):
        stacked.train_epoch(epoch)
    return stacked


def agreement(
    members: Sequence[Mapping], one_batch: preparation.PreparedDataset, dataset: preparation.PreparedDataset
) -> list[list[float]]:
    """How far the trainings of a stack are from separate ones.

    Returns:
        A list of each column of `agreement_table`, with a value of each training.
    """
    columns = []

    def compare(data: preparation.PreparedDataset) -> list[dict[str, Tensor]]:
        alone = [state.weights for state in trained_alone(members, data, 1)]
        for form in (grouped, vmapped):
            stacked = trained_together(members, data, 1, form).stack.weights()
            columns.append([difference(*pair) for pair in zip(stacked, alone, strict=True)])
        return alone

    with training.reproducible(1):
        compare(one_batch)  # whose first epoch is the first step
        alone = compare(dataset)
        rounded = trained_alone(members, dataset, 1, ROUNDING)
        columns.append([difference(state.weights, weights) for state, weights in zip(rounded, alone, strict=True)])
        with float64():
            compare(dataset)
        short = [{**settings, "epochs": SHORT} for settings in members]
        columns.append(trained_together(short, dataset, SHORT, grouped).validation_accuracies())
        for rounding in (0, ROUNDING):
            states = trained_alone(short, dataset, SHORT, rounding)
            columns.append([state.history[-1]["val_accuracy"] for state in states])
    return columns


@contextmanager
def float64() -> Iterator[None]:
    """Networks and images of twice the precision, in which trainings that compute the same agree to many digits."""
    build, normalize = training.build_network, training.Normalization.__call__
    with (
        patch.object(training, "build_network", lambda *arguments: build(*arguments).double()),
        patch.object(training.Normalization, "__call__", lambda *arguments: normalize(*arguments).double()),
    ):
        yield


def demo_settings(width: str, stack: Sequence[tuple[str, str]]) -> list[dict]:
    """Settings of the demo's longest runs of these losses and seeds."""
    study = Study(configuration.load([ROOT / "config" / "demo.yaml"]))
    epochs = study.experiments["demo"].config["epochs"][-1]
    return [study.run("demo", loss, width, f"{epochs}", seed).settings for loss, seed in stack]


def prepared(folder: Path, images: datasets.Images, validation_fraction: float) -> preparation.PreparedDataset:
    """Split as the demo's images are."""
    preparation.prepare(
        folder, images, split_seed=0, stratified=True, validation_fraction=validation_fraction, test_fraction=0.2
    )
    return preparation.PreparedDataset.open(folder / "manifest.json")


def start() -> None:
    """What a job does before it trains."""
    subprocess.run([sys.executable, "-c", "import neural_collapse.training"], check=True)


def main() -> None:
    """Time every stack at every width, and compare the weights of the demo's."""
    digits = datasets.digits()
    few = replace(digits, train_images=digits.train_images[:100], train_labels=digits.train_labels[:100])
    rows, speeds = [], []
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepared(Path(folder) / "digits", digits, 0.1)
        one_batch = prepared(Path(folder) / "few", few, 0.2)
        columns = agreement(demo_settings("0.5", STACKS[8]), one_batch, dataset)
        with Cores(dataset.directory / "manifest.json") as cores:
            for width, (size, stack) in product(WIDTHS, STACKS.items()):
                rounds = rates(cores, demo_settings(width, stack))
                ratios = {way: over_separate(rounds, way) for way in WAYS}
                typical = {way: median(each[way] for each in rounds) for way in rounds[0]}
                speeds.append([width, f"{size}", f"{typical['separate']:,.0f}", *map(str, ratios.values())])
                if size == max(STACKS):
                    rows += [row(width, size, way, typical, ratios[way]) for way in ("a core each", "both cores")]
    started = median(seconds(start) for _ in range(3))
    record("Several trainings as one", rows, [speed_table(speeds, started), agreement_table(columns)])


def row(width: str, size: int, way: str, typical: Mapping[str, float], ratios: Ratios) -> Row:
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
    """Images a second of every stack."""
    return Table(
        "The demo's network and images. So far this is a benchmark alone: the workflow trains a network a job. Images "
        "a second of separate jobs, two at a time on a core each, and how many times as many a stack trains "
        "(`grouped`, but for the last column). Starting Python and PyTorch, "
        f"{started:.1f} s, is counted nowhere: a stack does it once, separate jobs once each. A third form, "
        "convolutions as batched products of unfolded images and stacked kernels, is left out: its convolutions took "
        "longer than those of separate networks.",
        ["width", "trainings", "separate jobs, images/s", *WAYS.values()],
        speeds,
    )


def agreement_table(columns: Sequence[Sequence[float]]) -> Table:
    """What `agreement` found for the largest stack, a row a loss."""
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
