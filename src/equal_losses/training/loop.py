"""The training of one network: data, network, loss, optimiser, and the loop."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from equal_losses import heads, losses, networks, optimizers
from equal_losses.datasets.prepared import PreparedDataset
from equal_losses.networks.network import Network
from equal_losses.running.errors import InputError
from equal_losses.schedules import learning_rate
from equal_losses.training.batches import EVALUATION_BATCH, DeviceImages, Normalization, shuffled, stream
from equal_losses.training.numerics import as_called, float32_products_in_tf32
from equal_losses.training.state import TrainingState


def train(
    settings: Mapping,
    dataset: PreparedDataset,
    *,
    device: torch.device,
    start: TrainingState | None = None,
    until: int | None = None,
    compiled: bool = False,
    cuda_graphs: bool = False,
) -> Iterator[TrainingState]:
    """Train from `start`, or from the beginning, to `until` epochs, or to the end.

    The optimiser and schedule of the settings, weight decay on every parameter, a gradient clipped by its norm (paper,
    Section 4).

    Args:
        settings: the resolved settings of a run (see `study.grid.Run.settings`).
        compiled, cuda_graphs: see `numerics.as_called`; what is computed stays the same up to rounding.

    Yields:
        The state at the beginning of a fresh training and after each epoch, never changed afterwards. A row of its
        history has epoch (completed), learning_rate, train_loss and train_accuracy (means over the epoch's batches, in
        training mode), val_loss and val_accuracy (in evaluation mode), accuracies in 0..1, seconds and
        images_per_second.

    Raises:
        InputError: where the loss is not finite; names epoch, step and learning rate.
    """
    training, validation = (DeviceImages.load(dataset, split, device) for split in ("train", "val"))
    normalization = Normalization.of(settings, dataset, device, "train")
    network = build_network(settings, dataset)
    loss = asking(losses.build(settings["loss"]), network)
    state = start
    if state is None:
        state = TrainingState(0, copies(network.state_dict()))
        yield state
    network.load_state_dict(state.weights)
    network.to(device)
    called = as_called(network, device, compiled=compiled, cuda_graphs=cuda_graphs)
    optimizer = build_optimizer(network, settings, state.optimizer)

    for epoch in range(state.epoch, settings["epochs"] if until is None else until):
        started = time.perf_counter()
        rate = set_learning_rate(optimizer, settings, epoch)
        network.train()
        batches = shuffled(settings, epoch, training, normalization)
        step_losses, correct = train_epoch(called, optimizer, loss, batches, settings)
        trained = mean_loss(step_losses, len(training), settings, epoch, rate), int(correct) / len(training)
        seconds = time.perf_counter() - started
        validated = evaluate(network, loss, validation, normalization)
        seconds_in_all = time.perf_counter() - started
        row = history_row(epoch, rate, trained, validated, seconds_in_all, len(training) / seconds)
        state = state.after(copies(network.state_dict()), copies(optimizer_tensors(network, optimizer)), row)
        yield state


# A stack of S networks (see `together`) has all of what follows in common with a single one, and a leading axis S where
# it says so.


def build_network(settings: Mapping, dataset: PreparedDataset) -> Network:
    """The network of the settings with the initial weights of its seed, on the CPU, channels last."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(settings["seed"], 0))
        network = assembled(settings, dataset.class_count, dataset.channels)
    return network.to(memory_format=torch.channels_last)


def assembled(settings: Mapping, classes: int, channels: int) -> Network:
    """The network and the head of the settings, with random weights."""
    backbone, dimension = networks.build(settings["network"], channels=channels)
    return Network(backbone, heads.build(settings["head"], dimension=dimension, classes=classes))


def asking(loss: Callable[..., Tensor], network: Network) -> Callable[..., Tensor]:
    """The loss as a function of logits, labels and features; what else it asks for the network gives."""
    asked = losses.asks(loss)

    def value(logits: Tensor, labels: Tensor, features: Tensor, **options: str) -> Tensor:
        return loss(logits, labels, **network.given(asked, features), **options)

    return value


def build_optimizer(network: nn.Module, settings: Mapping, tensors: Mapping[str, Tensor]) -> torch.optim.Optimizer:
    """The optimiser of the settings, with what it has kept of the parameters: `optimizer_tensors`, or nothing."""
    optimizer = optimizers.build(
        settings["optimizer"],
        network.parameters(),
        learning_rate=settings["learning_rate"],
        weight_decay=settings["weight_decay"],
    )
    parameters = dict(network.named_parameters())
    for name, tensor in tensors.items():
        kept, _, of = name.partition("/")
        parameter = parameters[of]
        # Laid out as the parameter; a number, such as a count of steps, has no layout.
        value = torch.empty_like(parameter) if tensor.dim() else torch.empty_like(tensor, device=parameter.device)
        optimizer.state[parameter][kept] = value.copy_(tensor)
    return optimizer


def optimizer_tensors(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimiser keeps of the parameters, by its own name of it and the parameter's: "exp_avg/weight"."""
    return {
        f"{kept}/{name}": value
        for name, parameter in network.named_parameters()
        for kept, value in optimizer.state[parameter].items()
        if value is not None  # the buffer of a momentum of 0
    }


def set_learning_rate(optimizer: torch.optim.Optimizer, settings: Mapping, epoch: int) -> float:
    """Give the optimiser the rate of the epoch, and return it."""
    rate = learning_rate(epoch, settings["epochs"], settings)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def train_epoch(
    network: Callable[[Tensor], tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    loss: Callable[..., Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    settings: Mapping,
    clip: Callable[[Sequence[Tensor], float], object] = nn.utils.clip_grad_norm_,
) -> tuple[Tensor, Tensor]:
    """Losses of the steps (steps, or S x steps) and how many images were classified correctly ((), or S), on the CPU.

    Nothing waits for the device before the end.
    """
    parameters = optimizer.param_groups[0]["params"]
    autocast = torch.autocast(parameters[0].device.type, torch.bfloat16, enabled=settings["precision"] == "bfloat16")
    step_losses, correct = [], 0
    with float32_products_in_tf32(settings["precision"] == "tf32"):
        for images, labels in batches:
            with autocast:
                logits, features = network(images)
            batch_loss = loss(logits.float(), labels, features.float())
            optimizer.zero_grad(set_to_none=True)
            batch_loss.sum().backward()  # no network of a stack has a share in another's loss
            if settings["clip_norm"] is not None:
                clip(parameters, settings["clip_norm"])
            optimizer.step()
            step_losses.append(batch_loss.detach())
            correct += (logits.detach().argmax(dim=-1) == labels).sum(dim=-1)
    return torch.stack(step_losses, dim=-1).cpu(), correct.cpu()


@torch.inference_mode()
def evaluate(
    network: nn.Module, loss: Callable[..., Tensor], images: DeviceImages, normalization: Normalization
) -> tuple[float, float] | tuple[list[float], list[float]]:
    """Mean loss and accuracy (0..1; both S in a stack) in evaluation mode, without augmentation."""
    network.eval()
    total, correct = 0, 0
    for pixels, labels in zip(
        images.images.split(EVALUATION_BATCH), images.labels.split(EVALUATION_BATCH), strict=True
    ):
        logits, features = network(normalization(pixels))
        total += loss(logits, labels, features, reduction="sum").double()
        correct += (logits.argmax(dim=-1) == labels).sum(dim=-1).double()
    return (total / len(images)).tolist(), (correct / len(images)).tolist()


def mean_loss(step_losses: Tensor, images: int, settings: Mapping, epoch: int, rate: float, member: str = "") -> float:
    """Mean over the images of an epoch, from the losses of its steps; `member` is whose they are, in a stack."""
    if not step_losses.isfinite().all():
        step = int((~step_losses.isfinite()).nonzero()[0])
        raise InputError(
            f"training diverged{member and f' ({member})'}: the loss is {step_losses[step]:g} at epoch {epoch + 1}, "
            f"step {step + 1}, learning rate {rate:g}; a smaller training.learning_rate may help"
        )
    size = settings["batch_size"]
    step_sizes = torch.tensor([min(size, images - start) for start in range(0, images, size)])
    if settings["loss"]["reduction"] == "mean":
        step_losses = step_losses * step_sizes
    return float(step_losses.double().sum() / step_sizes.sum())


def history_row(
    epoch: int,
    rate: float,
    trained: Sequence[float],
    validated: Sequence[float],
    seconds: float,
    images_per_second: float,
) -> dict[str, float]:
    """A row of the history; `trained` and `validated` are loss and accuracy of each part."""
    return {
        "epoch": epoch + 1,
        "learning_rate": rate,
        "train_loss": trained[0],
        "train_accuracy": trained[1],
        "val_loss": validated[0],
        "val_accuracy": validated[1],
        "seconds": round(seconds, 4),
        "images_per_second": round(images_per_second, 1),
    }


def copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by name, each detached and copied."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
