"""Training of a network with a loss, as a function of (settings, data, epoch) and never of history.

The initial weights come from the seed; the order of the images, the crops and the flips of an epoch from
(seed, epoch). A training that stops and goes on from its state, or that shares its first epochs with a longer one,
ends with the same bits. Trainings that differ in loss and seed alone may be computed as one (see `stacking`).
"""

from __future__ import annotations

import ctypes
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import losses, networks, stacking, weights
from .errors import InputError
from .preparation import PreparedDataset
from .schedule import learning_rate

EVALUATION_BATCH = 128  # on a CPU the activations of larger batches leave the caches

Loss = Callable[..., Tensor]


# Data on the device


@dataclass(frozen=True)
class DeviceImages:
    """One split on the device.

    Attributes:
        images: N x H x W x C, uint8.
        labels: N, int64.
    """

    images: Tensor
    labels: Tensor

    @classmethod
    def load(cls, dataset: PreparedDataset, split: str, device: torch.device) -> DeviceImages:
        """Map a split of a prepared dataset, and copy it where the device is not the CPU."""
        images = torch.from_numpy(dataset.images(split)).to(device)
        return cls(images, torch.from_numpy(dataset.labels(split)).to(device))

    def __len__(self) -> int:
        return len(self.labels)


class Normalization:
    """uint8 pixels to floats of mean 0 and standard deviation 1 a channel.

    Args:
        mean, std: one value a channel, on the 0..1 scale.
    """

    def __init__(self, mean: list[float], std: list[float], device: torch.device):
        mean_, std_ = (torch.tensor(values, dtype=torch.float64) for values in (mean, std))
        # A channel without any variation, such as a constant border, is centred and left at that.
        std_ = torch.where(std_ > 0, std_, 1.0)
        self._scale = (1 / (255 * std_)).to(device, torch.float32)
        self._shift = (-mean_ / std_).to(device, torch.float32)

    @classmethod
    def of(cls, settings: Mapping, dataset: PreparedDataset, device: torch.device, split: str) -> Normalization:
        """What the settings give for a split, or the constants of the dataset's training pixels."""
        key = "normalization"
        if split == "test" and settings["test_normalization"] is not None:
            key = "test_normalization"
        given = settings[key]
        if given is None:
            given = {"mean": dataset.manifest["pixel_mean"], "std": dataset.manifest["pixel_std"]}
        for name, values in given.items():
            if len(values) != dataset.channels:
                raise InputError(
                    f"training.{key}.{name}: {len(values)} values; allowed: {dataset.channels}, one a channel"
                )
        return cls(given["mean"], given["std"], device)

    def __call__(self, images: Tensor) -> Tensor:
        """N x H x W x C, uint8, to N x C x H x W, float32, laid out with the channels last."""
        return torch.addcmul(self._shift, images.float(), self._scale).permute(0, 3, 1, 2)


class EpochRandomness:
    """Order, crops and flips of one epoch: a function of (seed, epoch), drawn on the CPU so that devices agree."""

    def __init__(self, settings: Mapping, epoch: int, count: int, device: torch.device):
        generator = torch.Generator().manual_seed(_stream(settings["seed"], epoch + 1))
        self.order = torch.randperm(count, generator=generator).to(device)
        self._padding = settings["crop_padding"]
        offsets = torch.randint(0, 2 * self._padding + 1, (2, count), generator=generator)
        mirrored = torch.rand(count, generator=generator) < 0.5
        self._offsets = offsets.to(device) if self._padding else None
        self._mirrored = mirrored.to(device) if settings["flip"] else None

    def augmented(self, images: Tensor, positions: slice) -> Tensor:
        """A batch (B x H x W x C, uint8) that stands at `positions` of the order, cropped and flipped image by image.

        The crop is of the image with zeros around it, before normalisation, as torchvision's RandomCrop has it.
        """
        if self._offsets is None and self._mirrored is None:
            return images
        batch, height, width, _ = images.shape
        rows = torch.arange(height, device=images.device).expand(batch, height)
        columns = torch.arange(width, device=images.device).expand(batch, width)
        if self._mirrored is not None:
            columns = torch.where(self._mirrored[positions, None], width - 1 - columns, columns)
        if self._offsets is not None:
            images = torch.nn.functional.pad(images, (0, 0, self._padding, self._padding, self._padding, self._padding))
            rows = rows + self._offsets[0, positions, None]
            columns = columns + self._offsets[1, positions, None]
        samples = torch.arange(batch, device=images.device)
        return images[samples[:, None, None], rows[:, :, None], columns[:, None, :]]


def _stream(seed: int, number: int) -> int:
    """Seed of an independent random stream."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])


# Network, loss, optimiser


def build_network(settings: Mapping, dataset: PreparedDataset) -> networks.Network:
    """The network of the settings with the initial weights of its seed, on the CPU, channels last."""
    options = {key: value for key, value in settings["network"].items() if key != "kind"}
    build = getattr(networks, settings["network"]["kind"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_stream(settings["seed"], 0))
        network = build(classes=dataset.class_count, channels=dataset.channels, **options)
    return network.to(memory_format=torch.channels_last)


def build_loss(settings: Mapping) -> Loss:
    """The loss of the settings, a function of logits, labels and, by keyword, the reduction."""
    options = {key: value for key, value in settings["loss"].items() if key != "kind"}
    return partial(getattr(losses, settings["loss"]["kind"]), **options)


def resolve_device(name: str) -> torch.device:
    """ "cpu", "cuda", or "auto": a GPU if there is one.

    Raises:
        InputError: for "cuda" where there is no GPU.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("compute.device: 'cuda', but no GPU is there; allowed here: auto, cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@contextmanager
def reproducible(threads: int, *, compiled: bool = False) -> Iterator[None]:
    """The same bits at the same seed, device and number of CPU threads.

    Args:
        compiled: whether PyTorch's compiler is used inside, and has to keep to it as well.
    """
    deterministic = torch.utils.deterministic
    before = (
        torch.get_deterministic_debug_mode(),
        deterministic.fill_uninitialized_memory,
        torch.get_num_threads(),
    )
    # Where an operation has no deterministic form PyTorch warns, and the job's log keeps the warning.
    torch.set_deterministic_debug_mode("warn")
    if compiled:
        # The same again and for the compiler, which this call imports: a second that other jobs can do without.
        torch.use_deterministic_algorithms(True, warn_only=True)
    # With it comes a pass over every new tensor, to show what reads memory before writing to it; nothing here does.
    deterministic.fill_uninitialized_memory = False
    torch.set_num_threads(threads)
    # Tiny float values (denormals) slow a processor down many times; collapsed networks are full of them.
    torch.set_flush_denormal(True)
    _keep_freed_memory()
    try:
        with _float32_products_in_tf32(False):
            yield
    finally:
        if compiled:
            torch.use_deterministic_algorithms(before[0] > 0)
        torch.set_deterministic_debug_mode(before[0])
        deterministic.fill_uninitialized_memory = before[1]
        torch.set_num_threads(before[2])
        torch.set_flush_denormal(False)


def _keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next allocation instead of returning it to the kernel.

    PyTorch on the CPU allocates every activation anew, and a fresh page costs a fault: a fifth of the time of a
    WideResNet50. Other C libraries have no `mallopt` and are left as they are.
    """
    m_trim_threshold, m_mmap_max = -1, -4
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)


# State


@dataclass
class TrainingState:
    """Everything that training goes on from.

    Attributes:
        epoch: epochs completed.
        weights: parameters and buffers by name.
        momentum: momentum buffers by parameter name; empty before the first step.
        best_weights: weights of the epoch with the best validation accuracy, the earliest of equals.
        best_epoch, best_val_accuracy: that epoch (completed) and its validation accuracy in 0..1.
        history: a row an epoch; see `train`.
    """

    epoch: int
    weights: dict[str, Tensor]
    momentum: dict[str, Tensor] = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    best_val_accuracy: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)

    def after(self, weights: dict[str, Tensor], momentum: dict[str, Tensor], row: dict[str, float]) -> TrainingState:
        """The state an epoch later, whose row of the history is `row`."""
        best = (self.best_weights, self.best_epoch, self.best_val_accuracy)
        if row["val_accuracy"] > self.best_val_accuracy:
            best = (weights, self.epoch + 1, row["val_accuracy"])
        return TrainingState(self.epoch + 1, weights, momentum, *best, [*self.history, row])

    def save(self, path: str | Path, *, key: str = "") -> None:
        """Write to one safetensors file that names `key`, what the state is of."""
        save_states(path, [self], key=key)

    @classmethod
    def load(cls, path: str | Path, *, key: str = "") -> TrainingState:
        """Read a file that `save` wrote; see `load_states`."""
        (state,) = load_states(path, key=key)
        return state


def save_states(path: str | Path, states: Sequence[TrainingState], *, key: str = "") -> None:
    """Write states to one safetensors file that names `key`, what they are of."""
    tensors, scalars = {}, []
    for index, state in enumerate(states):
        groups = {"weights": state.weights, "momentum": state.momentum}
        if state.best_epoch != state.epoch:
            groups["best"] = state.best_weights
        tensors |= {
            f"{index}/{group}/{name}": tensor for group, part in groups.items() for name, tensor in part.items()
        }
        scalars.append(
            {
                "epoch": state.epoch,
                "best_epoch": state.best_epoch,
                "best_val_accuracy": state.best_val_accuracy,
                "history": state.history,
            }
        )
    weights.save(path, tensors, {"states": json.dumps(scalars), "key": key})


def load_states(path: str | Path, *, key: str = "") -> list[TrainingState]:
    """Read a file that `save_states` wrote, onto the CPU.

    Raises:
        InputError: where the file is not whole, holds no training states or is of another key.
    """
    tensors, metadata = weights.load(path)
    if metadata.get("key") != key:
        raise InputError(f"{path}: of other settings, data or code, or no training state")
    scalars = json.loads(metadata["states"])
    parts: list[dict[str, dict[str, Tensor]]] = [{"weights": {}, "momentum": {}, "best": {}} for _ in scalars]
    for name, tensor in tensors.items():
        index, group, rest = name.split("/", 2)
        parts[int(index)][group][rest] = tensor
    states = []
    for groups, numbers in zip(parts, scalars, strict=True):
        best = groups["weights"] if numbers["best_epoch"] == numbers["epoch"] else groups["best"]
        states.append(
            TrainingState(weights=groups["weights"], momentum=groups["momentum"], best_weights=best, **numbers)
        )
    return states


# The loop


def train(
    settings: Mapping,
    dataset: PreparedDataset,
    *,
    device: torch.device,
    start: TrainingState | None = None,
    until: int | None = None,
    compiled: bool = False,
    cuda_graphs: bool = False,
    on_epoch: Callable[[TrainingState], None] = lambda state: None,
    report: Callable[[Mapping[str, float]], None] = lambda row: None,
) -> TrainingState:
    """Train from `start`, or from the beginning, to `until` epochs, or to the end.

    Args:
        settings: the resolved settings of a run (see `study.Run.settings`).
        on_epoch, report: called with a state, and with a row.

    Everything else is as in `train_together`, of a single training.
    """
    (state,) = train_together(
        [settings],
        dataset,
        device=device,
        start=None if start is None else [start],
        until=until,
        compiled=compiled,
        cuda_graphs=cuda_graphs,
        on_epoch=lambda states: on_epoch(states[0]),
        report=lambda rows: report(rows[0]),
    )
    return state


def train_together(
    members: Sequence[Mapping],
    dataset: PreparedDataset,
    *,
    device: torch.device,
    start: Sequence[TrainingState] | None = None,
    until: int | None = None,
    compiled: bool = False,
    cuda_graphs: bool = False,
    on_epoch: Callable[[list[TrainingState]], None] = lambda states: None,
    report: Callable[[list[Mapping[str, float]]], None] = lambda rows: None,
) -> list[TrainingState]:
    """Train S networks as one, each as it would be trained alone, up to rounding; one is trained bit by bit as alone.

    SGD with momentum, weight decay on every parameter, a gradient clipped by each network's own norm and stepwise
    decays (paper, Section 4).

    Args:
        members: the resolved settings of S runs that differ in loss and seed alone.
        start: a state each, after the same number of epochs.
        compiled, cuda_graphs: see `_as_called`; what is computed stays the same up to rounding.
        on_epoch: called with the states at the beginning of a fresh training and after each epoch. A state is never
            changed afterwards, so whoever keeps it can save it at any later moment.
        report: called with the new rows of the histories after each epoch.

    Returns:
        The states after `until` epochs. A row of a history has epoch (completed), learning_rate, train_loss and
        train_accuracy (means over the epoch's batches, in training mode), val_loss and val_accuracy (in evaluation
        mode), accuracies in 0..1, seconds (of the S networks' epoch the S-th part) and images_per_second (of all S).

    Raises:
        InputError: where a loss is not finite; names epoch, step and learning rate, and of several trainings loss and
            seed. Where the network has no form for several (see `stacking.stacked`).
        ValueError: where members differ in more than loss and seed.
    """
    settings = _shared(members)
    until = settings["epochs"] if until is None else until
    training, validation = (DeviceImages.load(dataset, split, device) for split in ("train", "val"))
    normalization = Normalization.of(settings, dataset, device, "train")
    member_losses = [build_loss(member) for member in members]
    alone = [build_network(member, dataset) for member in members]
    if start is None:
        states = [TrainingState(0, _copies(network.state_dict())) for network in alone]
        on_epoch(states)
    else:
        states = list(start)
        for network, state in zip(alone, states, strict=True):
            network.load_state_dict(state.weights)
    few = Normalization.of(settings, dataset, torch.device("cpu"), "train")
    network = stacking.stacked(alone, few(torch.from_numpy(dataset.images("train")[:8]))).to(device)
    called = _as_called(network, device, compiled=compiled, cuda_graphs=cuda_graphs)
    optimizer = _sgd(network, settings, stacking.fold([state.momentum for state in states]))

    for epoch in range(states[0].epoch, until):
        epoch_started = time.perf_counter()
        rate = learning_rate(epoch, settings["epochs"], settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        network.train()
        with _float32_products_in_tf32(settings["precision"] == "tf32"):
            trained = _train_epoch(called, optimizer, member_losses, training, normalization, members, epoch)
        seconds = time.perf_counter() - epoch_started
        evaluated = evaluate(network, member_losses, validation, normalization)
        seconds_in_all = time.perf_counter() - epoch_started
        rows = [
            {
                "epoch": epoch + 1,
                "learning_rate": rate,
                "train_loss": train_loss,
                "train_accuracy": train_accuracy,
                "val_loss": val_loss,
                "val_accuracy": val_accuracy,
                "seconds": round(seconds_in_all / len(members), 4),
                "images_per_second": round(len(members) * len(training) / seconds, 1),
            }
            for (train_loss, train_accuracy), (val_loss, val_accuracy) in zip(trained, evaluated, strict=True)
        ]
        parts = stacking.unfold(network.network.state_dict(), len(members))
        momenta = stacking.unfold(_momentum(network, optimizer), len(members))
        states = [state.after(*new) for state, *new in zip(states, parts, momenta, rows, strict=True)]
        on_epoch(states)
        report(rows)

    return states


def _shared(members: Sequence[Mapping]) -> dict:
    """The settings that trainings as one have in common."""
    shared, *others = ({key: member[key] for key in member if key not in ("loss", "seed")} for member in members)
    if any(other != shared for other in others):
        raise ValueError("settings that differ in more than loss and seed; allowed: the same of everything else")
    return shared


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _as_called(
    network: stacking.StackedNetwork, device: torch.device, *, compiled: bool, cuda_graphs: bool
) -> Callable[[Tensor], Tensor]:
    """The network as the training loop calls it; weights and buffers stay the network's own.

    Args:
        compiled: whether PyTorch's compiler fuses its kernels, which rounds differently.
        cuda_graphs: whether a GPU replays the recorded kernels of a step, which spares the processor; without effect
            on the CPU. Kernels that are not compiled are recorded as they are.
    """
    # Not dynamic: an epoch has batches of one size, and perhaps a smaller one at its end.
    if not (cuda_graphs and device.type == "cuda"):
        return torch.compile(network, dynamic=False) if compiled else network
    how = {"mode": "reduce-overhead"} if compiled else {"backend": "cudagraphs"}
    recorded = torch.compile(network, dynamic=False, **how)

    def replayed(images: Tensor) -> Tensor:
        # What the step before left in the recording's memory may be overwritten now.
        torch.compiler.cudagraph_mark_step_begin()
        return recorded(images)

    return replayed


@contextmanager
def _float32_products_in_tf32(allowed: bool) -> Iterator[None]:
    """Whether a GPU may round the factors of float32 products to 10 bits; PyTorch's own default is yes in convolutions.

    What is not allowed has the precision that float32 says.
    """
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = allowed
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def _train_epoch(
    network: Callable[[Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    member_losses: Sequence[Loss],
    training: DeviceImages,
    normalization: Normalization,
    members: Sequence[Mapping],
    epoch: int,
) -> list[tuple[float, float]]:
    """Mean loss and accuracy of each network over the epoch; nothing waits for the device before its end."""
    settings, size = members[0], len(members)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    device = training.labels.device
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=settings["precision"] == "bfloat16")
    randomness = [EpochRandomness(member, epoch, len(training), device) for member in members]
    starts = range(0, len(training), settings["batch_size"])
    step_losses = torch.zeros((size, len(starts)), device=device)
    step_sizes = torch.tensor([min(settings["batch_size"], len(training) - start) for start in starts])
    correct = torch.zeros(size, dtype=torch.int64, device=device)
    for step, begin in enumerate(starts):
        positions = slice(begin, begin + settings["batch_size"])
        picked = [each.order[positions] for each in randomness]
        pixels = [each.augmented(training.images[own], positions) for each, own in zip(randomness, picked, strict=True)]
        labels = training.labels[_stacked(picked)]
        with autocast:
            logits = network(_stacked([normalization(batch) for batch in pixels]))
        batch_losses = [loss(*pair) for loss, *pair in zip(member_losses, logits.float(), labels, strict=True)]
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(batch_losses)  # of their sum, in which no network has a share in another's
        if settings["clip_norm"] is not None:
            _clip(parameters, size, settings["clip_norm"])
        optimizer.step()
        step_losses[:, step] = _stacked([batch_loss.detach() for batch_loss in batch_losses])
        correct += (logits.detach().argmax(dim=2) == labels).sum(dim=1)

    rate = optimizer.param_groups[0]["lr"]
    means = [
        _mean_loss(own, step_sizes, member, epoch, rate, alone=size == 1)
        for own, member in zip(step_losses.cpu(), members, strict=True)
    ]
    return [(mean, count / len(training)) for mean, count in zip(means, correct.tolist(), strict=True)]


def _mean_loss(
    step_losses: Tensor, step_sizes: Tensor, settings: Mapping, epoch: int, rate: float, *, alone: bool
) -> float:
    """Mean over the images of an epoch, from the losses of its steps."""
    if not step_losses.isfinite().all():
        step = int((~step_losses.isfinite()).nonzero()[0])
        who = "" if alone else f" ({settings['loss']['kind']}, seed {settings['seed']})"
        raise InputError(
            f"training diverged{who}: the loss is {step_losses[step]:g} at epoch {epoch + 1}, step {step + 1}, "
            f"learning rate {rate:g}; a smaller training.learning_rate may help"
        )
    if settings["loss"]["reduction"] == "mean":
        step_losses = step_losses * step_sizes
    return float(step_losses.double().sum() / step_sizes.sum())


def _clip(parameters: Sequence[Tensor], size: int, limit: float) -> None:
    """Scale the gradient of each of `size` stacked networks to a norm of at most `limit`."""
    if size == 1:
        torch.nn.utils.clip_grad_norm_(parameters, limit)
        return
    gradients = [parameter.grad.unflatten(0, (size, -1)) for parameter in parameters]
    norms = [torch.linalg.vector_norm(each, dim=tuple(range(1, each.dim()))) for each in gradients]
    factors = (limit / (torch.linalg.vector_norm(torch.stack(norms), dim=0) + 1e-6)).clamp(max=1)
    for each in gradients:
        each.mul_(factors.view(size, *[1] * (each.dim() - 1)))


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """With a new first axis; of a single tensor without a copy."""
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(tensors)


@torch.inference_mode()
def evaluate(
    network: stacking.StackedNetwork, member_losses: Sequence[Loss], images: DeviceImages, normalization: Normalization
) -> list[tuple[float, float]]:
    """Mean loss and accuracy (0..1) of each network in evaluation mode, without augmentation."""
    network.eval()
    total = torch.zeros(network.size, dtype=torch.float64, device=images.labels.device)
    correct = torch.zeros(network.size, dtype=torch.int64, device=images.labels.device)
    for pixels, labels in zip(
        images.images.split(EVALUATION_BATCH), images.labels.split(EVALUATION_BATCH), strict=True
    ):
        logits = network(normalization(pixels).expand(network.size, -1, -1, -1, -1))
        total += _stacked([loss(own, labels, reduction="sum") for loss, own in zip(member_losses, logits, strict=True)])
        correct += (logits.argmax(dim=2) == labels).sum(dim=1)
    return [
        (loss / len(images), count / len(images)) for loss, count in zip(total.tolist(), correct.tolist(), strict=True)
    ]


def _sgd(network: stacking.StackedNetwork, settings: Mapping, momentum: Mapping[str, Tensor]) -> torch.optim.SGD:
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=settings["learning_rate"],
        momentum=settings["momentum"],
        weight_decay=settings["weight_decay"],
        fused=True,
    )
    for name, parameter in network.network.named_parameters():
        if name in momentum:
            buffer = torch.empty_like(parameter).copy_(momentum[name])
            optimizer.state[parameter]["momentum_buffer"] = buffer
    return optimizer


def _momentum(network: stacking.StackedNetwork, optimizer: torch.optim.SGD) -> dict[str, Tensor]:
    states = {name: optimizer.state[parameter] for name, parameter in network.network.named_parameters()}
    return {name: state["momentum_buffer"] for name, state in states.items() if "momentum_buffer" in state}
