"""The training of several networks as one: what a stack adds to `loop`.

Networks that differ in loss and seed alone are folded into one (see `stacking`), and each is trained as it would be
trained alone, up to rounding: order of images, clipping, best epoch and divergence are each network's own.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from equal_losses import losses
from equal_losses.datasets.prepared import PreparedDataset
from equal_losses.training import loop, stacking
from equal_losses.training.batches import DeviceImages, Normalization, shuffled
from equal_losses.training.numerics import as_called
from equal_losses.training.state import TrainingState


def train_together(
    members: Mapping[str, Mapping],
    dataset: PreparedDataset,
    *,
    device: torch.device,
    start: list[TrainingState] | None = None,
    until: int | None = None,
    compiled: bool = False,
    cuda_graphs: bool = False,
) -> Iterator[list[TrainingState]]:
    """Train S networks as one.

    Args:
        members: by name, the resolved settings of S runs that differ in loss and seed alone.

    Everything else is as in `loop.train`, with the states of all networks. In a row, seconds are the epoch's divided by
    S, and images_per_second counts the images of all networks.

    Raises:
        InputError: where a loss is not finite; names the network, epoch, step and learning rate. Where the network has
            no form for several (see `stacking.stacked`).
    """
    size, settings = len(members), next(iter(members.values()))
    training, validation = (DeviceImages.load(dataset, split, device) for split in ("train", "val"))
    normalization = Normalization.of(settings, dataset, device, "train")
    alone = [loop.build_network(member, dataset) for member in members.values()]
    states = start
    if states is None:
        states = [TrainingState(0, loop.copies(network.state_dict())) for network in alone]
        yield states
    for network, state in zip(alone, states, strict=True):
        network.load_state_dict(state.weights)
    few = Normalization.of(settings, dataset, torch.device("cpu"), "train")
    network = stacking.stacked(alone, few(torch.from_numpy(dataset.images("train")[:8]))).to(device)
    member_losses = [losses.build(member["loss"]) for member in members.values()]
    loss = partial(_loss_of_each, network, member_losses, [losses.asks(each) for each in member_losses])
    called = as_called(network, device, compiled=compiled, cuda_graphs=cuda_graphs)
    optimizer = loop.build_optimizer(network.network, settings, stacking.fold([state.optimizer for state in states]))

    for epoch in range(states[0].epoch, settings["epochs"] if until is None else until):
        started = time.perf_counter()
        rate = loop.set_learning_rate(optimizer, settings, epoch)
        network.train()
        own = [shuffled(member, epoch, training, normalization) for member in members.values()]
        batches = (map(torch.stack, zip(*each, strict=True)) for each in zip(*own, strict=True))
        step_losses, correct = loop.train_epoch(called, optimizer, loss, batches, settings, partial(_clip, size))
        means = [
            loop.mean_loss(own, len(training), member, epoch, rate, name)
            for own, (name, member) in zip(step_losses, members.items(), strict=True)
        ]
        trained = zip(means, (correct.double() / len(training)).tolist(), strict=True)
        seconds = time.perf_counter() - started
        validated = zip(*loop.evaluate(network, loss, validation, normalization), strict=True)
        seconds_each = (time.perf_counter() - started) / size
        rows = [
            loop.history_row(epoch, rate, *both, seconds_each, size * len(training) / seconds)
            for both in zip(trained, validated, strict=True)
        ]
        weights = stacking.unfold(network.network.state_dict(), size)
        kept = stacking.unfold(loop.optimizer_tensors(network.network, optimizer), size)
        states = [state.after(*new) for state, *new in zip(states, weights, kept, rows, strict=True)]
        yield states


def _loss_of_each(
    network: stacking.StackedNetwork,
    member_losses: Sequence[Callable[..., Tensor]],
    asked: Sequence[Sequence[str]],
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    **options: str,
) -> Tensor:
    """Losses (S) of S x N x K logits for labels (S x N, or N for all); what else they ask for the network gives."""
    given = network.given(asked, features)
    each = zip(member_losses, logits, labels.expand(logits.shape[:2]), given, strict=True)
    return torch.stack([loss(own, targets, **extra, **options) for loss, own, targets, extra in each])


def _clip(size: int, parameters: Sequence[Tensor], limit: float) -> None:
    """Scale the gradient of each of `size` stacked networks to a norm of at most `limit`."""
    gradients = [parameter.grad.unflatten(0, (size, -1)) for parameter in parameters]
    norms = [torch.linalg.vector_norm(each, dim=tuple(range(1, each.dim()))) for each in gradients]
    factors = (limit / (torch.linalg.vector_norm(torch.stack(norms), dim=0) + 1e-6)).clamp(max=1)
    for each in gradients:
        each.mul_(factors.view(size, *[1] * (each.dim() - 1)))
