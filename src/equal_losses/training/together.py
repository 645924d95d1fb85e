"""The training of several networks as one: what a stack adds to `loop`.

Networks that differ in loss and seed alone are folded into one (see `stacking`), and each is trained as it would be
trained alone, up to rounding: order of images, clipping, best epoch and divergence are each network's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from equal_losses import losses
from equal_losses.datasets.prepared import PreparedDataset
from equal_losses.training import stacking
from equal_losses.training.batches import EVALUATION_BATCH, DeviceImages, EpochRandomness, Normalization, slices
from equal_losses.training.loop import Loss, build_network, copies, history_row, mean_loss, momentum_of, sgd
from equal_losses.training.numerics import as_called, float32_products_in_tf32
from equal_losses.training.schedule import learning_rate
from equal_losses.training.state import TrainingState, load_states, save_states


@dataclass
class StackState:
    """States of the same epoch, one per network."""

    members: list[TrainingState]

    @property
    def epoch(self) -> int:
        """Epochs completed."""
        return self.members[0].epoch

    @property
    def snapshot(self) -> dict[str, Tensor]:
        """The weights, by epoch, place of the network and name."""
        return {
            f"{self.epoch}/{index}/{name}": tensor
            for index, member in enumerate(self.members)
            for name, tensor in member.weights.items()
        }

    def save(self, path: Path) -> None:
        """Write to one safetensors file, atomically."""
        save_states(path, self.members)

    @classmethod
    def load(cls, path: Path) -> StackState:
        """Read a file that `save` wrote; see `state.load_states`."""
        return cls(load_states(path))


def train_together(
    members: Mapping[str, Mapping],
    dataset: PreparedDataset,
    *,
    device: torch.device,
    start: StackState | None = None,
    until: int | None = None,
    compiled: bool = False,
    cuda_graphs: bool = False,
    on_epoch: Callable[[StackState], None] = lambda state: None,
    report: Callable[[Mapping[str, float], str], None] = lambda row, member: None,
) -> StackState:
    """Train S networks as one.

    Args:
        members: by name, the resolved settings of S runs that differ in loss and seed alone.
        report: called with the new row of each history, and the name of the network.

    Everything else is as in `loop.train`, with the states of all networks. In a row, seconds are the epoch's divided by
    S, and images_per_second counts the images of all networks.

    Raises:
        InputError: where a loss is not finite; names the network, epoch, step and learning rate. Where the network has
            no form for several (see `stacking.stacked`).
        ValueError: where members differ in more than loss and seed.
    """
    settings = _shared(list(members.values()))
    training, validation = (DeviceImages.load(dataset, split, device) for split in ("train", "val"))
    normalization = Normalization.of(settings, dataset, device, "train")
    member_losses = [losses.build(member["loss"]) for member in members.values()]
    alone = [build_network(member, dataset) for member in members.values()]
    if start is None:
        state = StackState([TrainingState(0, copies(network.state_dict())) for network in alone])
        on_epoch(state)
    else:
        state = start
        for network, own in zip(alone, state.members, strict=True):
            network.load_state_dict(own.weights)
    few = Normalization.of(settings, dataset, torch.device("cpu"), "train")
    network = stacking.stacked(alone, few(torch.from_numpy(dataset.images("train")[:8]))).to(device)
    called = as_called(network, device, compiled=compiled, cuda_graphs=cuda_graphs)
    optimizer = sgd(network.network, settings, stacking.fold([own.momentum for own in state.members]))
    size = len(members)

    for epoch in range(state.epoch, settings["epochs"] if until is None else until):
        started = time.perf_counter()
        rate = learning_rate(epoch, settings["epochs"], settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        network.train()
        with float32_products_in_tf32(settings["precision"] == "tf32"):
            trained = _train_epoch(called, optimizer, member_losses, training, normalization, members, epoch)
        seconds = time.perf_counter() - started
        validated = evaluate_together(network, member_losses, validation, normalization)
        seconds_each = (time.perf_counter() - started) / size
        rows = [
            history_row(epoch, rate, *own, seconds_each, size * len(training) / seconds)
            for own in zip(trained, validated, strict=True)
        ]
        weights = stacking.unfold(network.network.state_dict(), size)
        momenta = stacking.unfold(momentum_of(network.network, optimizer), size)
        state = StackState([own.after(*new) for own, *new in zip(state.members, weights, momenta, rows, strict=True)])
        on_epoch(state)
        for row, name in zip(rows, members, strict=True):
            report(row, name)

    return state


def _shared(members: Sequence[Mapping]) -> dict:
    """The settings that all networks have in common."""
    shared, *others = ({key: member[key] for key in member if key not in ("loss", "seed")} for member in members)
    if any(other != shared for other in others):
        raise ValueError("settings that differ in more than loss and seed; expected the same of everything else")
    return shared


def _train_epoch(
    network: Callable[[Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    member_losses: Sequence[Loss],
    training: DeviceImages,
    normalization: Normalization,
    members: Mapping[str, Mapping],
    epoch: int,
) -> list[tuple[float, float]]:
    """Mean loss and accuracy of each network over the epoch; nothing waits for the device before its end."""
    settings, size = next(iter(members.values())), len(members)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    device = training.labels.device
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=settings["precision"] == "bfloat16")
    randomness = [EpochRandomness(member, epoch, len(training), device) for member in members.values()]
    batches = slices(len(training), settings["batch_size"])
    step_losses = torch.zeros((size, len(batches)), device=device)
    correct = torch.zeros(size, dtype=torch.int64, device=device)
    for step, positions in enumerate(batches):
        picked = [each.order[positions] for each in randomness]
        pixels = [each.augmented(training.images[own], positions) for each, own in zip(randomness, picked, strict=True)]
        labels = training.labels[torch.stack(picked)]
        with autocast:
            logits = network(torch.stack([normalization(batch) for batch in pixels]))
        batch_losses = [loss(*pair) for loss, *pair in zip(member_losses, logits.float(), labels, strict=True)]
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(batch_losses)  # of their sum, in which no network has a share in another's
        if settings["clip_norm"] is not None:
            _clip(parameters, size, settings["clip_norm"])
        optimizer.step()
        step_losses[:, step] = torch.stack([batch_loss.detach() for batch_loss in batch_losses])
        correct += (logits.detach().argmax(dim=2) == labels).sum(dim=1)
    rate = optimizer.param_groups[0]["lr"]
    means = [
        mean_loss(own, len(training), member, epoch, rate, name)
        for own, (name, member) in zip(step_losses.cpu(), members.items(), strict=True)
    ]
    return [(mean, count / len(training)) for mean, count in zip(means, correct.tolist(), strict=True)]


def _clip(parameters: Sequence[Tensor], size: int, limit: float) -> None:
    """Scale the gradient of each of `size` stacked networks to a norm of at most `limit`."""
    gradients = [parameter.grad.unflatten(0, (size, -1)) for parameter in parameters]
    norms = [torch.linalg.vector_norm(each, dim=tuple(range(1, each.dim()))) for each in gradients]
    factors = (limit / (torch.linalg.vector_norm(torch.stack(norms), dim=0) + 1e-6)).clamp(max=1)
    for each in gradients:
        each.mul_(factors.view(size, *[1] * (each.dim() - 1)))


@torch.inference_mode()
def evaluate_together(
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
        total += torch.stack(
            [loss(own, labels, reduction="sum") for loss, own in zip(member_losses, logits, strict=True)]
        )
        correct += (logits.argmax(dim=2) == labels).sum(dim=1)
    return [
        (loss / len(images), count / len(images)) for loss, count in zip(total.tolist(), correct.tolist(), strict=True)
    ]
