"""Training against a plain PyTorch loop of the usual kind on the same images, and where the time of a step goes."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from harness import ROOT, Ratios, Row, Table, matrix_product_rate, record, seconds
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms

from equal_losses.datasets._images import Images
from equal_losses.datasets.digits import digits
from equal_losses.datasets.prepared import PreparedDataset, prepare
from equal_losses.study import configuration
from equal_losses.study.grid import Run, Study
from equal_losses.training import loop
from equal_losses.training.numerics import reproducible

THREADS = 2
ROUNDS = 5
FORWARD_AND_BACKWARD = 3  # a backward pass has two products for each one of the forward pass


class PlainImages(Dataset):
    """Images one by one through torchvision's transforms."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Callable):
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int):
        return self.transform(self.images[index]), int(self.labels[index])


def plain_epochs(settings: Mapping, dataset: PreparedDataset) -> Callable[[], None]:
    """One epoch per call: a DataLoader with a worker per core, NCHW, and `.item()` at every step."""
    augmentation = [transforms.ToPILImage()]
    if settings["crop_padding"]:
        augmentation.append(transforms.RandomCrop(dataset.images("train").shape[1], padding=settings["crop_padding"]))
    if settings["flip"]:
        augmentation.append(transforms.RandomHorizontalFlip())
    normalize = transforms.Normalize(dataset.manifest["pixel_mean"], dataset.manifest["pixel_std"])
    transform = transforms.Compose([*augmentation, transforms.ToTensor(), normalize])
    images = PlainImages(dataset.images("train"), dataset.labels("train"), transform)
    loader = DataLoader(
        images, settings["batch_size"], shuffle=True, num_workers=THREADS, persistent_workers=True, pin_memory=False
    )
    network = loop.build_network(settings, dataset).to(memory_format=torch.contiguous_format)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=settings["learning_rate"],
        momentum=settings["optimizer"]["momentum"],
        weight_decay=settings["weight_decay"],
    )

    def epoch() -> None:
        network.train()
        total = 0.0
        for pixels, labels in loader:
            optimizer.zero_grad()
            logits, _ = network(pixels)
            loss = criterion(logits, labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), settings["clip_norm"])
            optimizer.step()
            total += loss.item()

    return epoch


class PlainLoop:
    """The plain loop in a process of its own, so that nothing that we set for ours helps it or hinders it."""

    def __init__(self, settings: Mapping, dataset: PreparedDataset):
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, settings, dataset))
        self._process.start()

    def epoch(self) -> float:
        """Run an epoch; its seconds."""
        self._connection.send("epoch")
        return self._connection.recv()

    def close(self) -> None:
        """End the process."""
        self._connection.send("end")
        self._process.join()


def _serve(connection: Connection, settings: Mapping, dataset: PreparedDataset) -> None:
    torch.set_num_threads(THREADS)
    epoch = plain_epochs(settings, dataset)
    while connection.recv() == "epoch":
        connection.send(seconds(epoch))


def compare(settings: Mapping, dataset: PreparedDataset) -> tuple[Ratios, list[tuple[str, float]]]:
    """Seconds of an epoch, ours and the plain loop's in turn; and what an epoch of ours spends by kind of operation."""
    plain = PlainLoop(settings, dataset)
    count = len(dataset.labels("train"))
    ours, theirs, shares = [], [], []
    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])

    with reproducible(THREADS):
        for state in loop.train(settings, dataset, device=torch.device("cpu"), until=ROUNDS + 2):
            # The last epoch is the profiler's; the first one of each side warms up.
            if 1 <= state.epoch <= ROUNDS + 1:
                ours.append(count / state.history[-1]["images_per_second"])
                theirs.append(plain.epoch())
            if state.epoch == ROUNDS + 1:
                profiler.start()
            if state.epoch == ROUNDS + 2:
                profiler.stop()
                shares.extend(spent(profiler))
    plain.close()
    return Ratios(ours[1:], theirs[1:]), shares


# Parts of the names of PyTorch's operations by what they do; the first that fits counts.
KINDS = {
    "convolutions": ("conv",),
    "batch norm": ("batch_norm",),
    "ReLU": ("relu", "threshold", "clamp_min"),
    "additions": ("add",),
    "optimiser and clipping": ("fused_sgd", "foreach", "vector_norm", "linalg"),
    "matrix products": ("addmm", "mm"),
    "copies and layout": ("copy", "contiguous", "clone", "index", "pad", "cat", "to_copy", "fill", "zero"),
}


def spent(profiler: torch.profiler.profile) -> list[tuple[str, float]]:
    """Share of the time in each kind of operation, the largest first."""
    totals: dict[str, float] = {}
    for event in profiler.key_averages():
        kind = next((kind for kind, parts in KINDS.items() if any(part in event.key for part in parts)), "other")
        totals[kind] = totals.get(kind, 0) + event.self_cpu_time_total
    everything = sum(totals.values())
    return sorted(((kind, total / everything) for kind, total in totals.items()), key=lambda item: -item[1])


def operations_of_a_step(settings: Mapping, dataset: PreparedDataset) -> float:
    """Multiply-adds, counted as two, of the forward and backward pass of one image."""
    network = loop.build_network(settings, dataset)
    height, width, channels = dataset.manifest["image_shape"]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, channels, height, width))
    return FORWARD_AND_BACKWARD * counter.get_total_flops()


def prepared(folder: Path, images: Images, validation: float = 1 / 11, test: float | None = None) -> PreparedDataset:
    """A dataset of these images, with the shares of the validation and the test part."""
    split = {"validation_fraction": validation, "test_fraction": test}
    prepare(folder, images, split_seed=0, stratified=True, **split)
    return PreparedDataset.open(folder / "manifest.json")


def random_images(count: int) -> Images:
    """Images of CIFAR's size and ten classes; what they show does not change what they cost."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(count) % 10
    return Images(images, labels, images[:10], labels[:10], [f"{label}" for label in range(10)])


def longest_run(study: str, experiment: str, width: float, loss: str = "CE", seed: int = 1) -> dict:
    """Settings of training and extraction of a run, of any width and the longest budget, of a study that is shipped."""
    shipped = Study(configuration.load([ROOT / "config" / f"{study}.yaml"])).experiments[experiment]
    return Run(shipped, loss, width, max(shipped.config["epochs"]), seed).measured_settings


def why(share: float, shares: Mapping[str, float]) -> str:
    """What leaves no more to be gained, in a sentence."""
    convolutions = shares["convolutions"]
    return (
        f"convolutions take {convolutions:.0%} of our time, at {share / convolutions:.0%} of the rate of a large "
        "matrix product, and the plain loop has the same ones"
    )


def main() -> None:
    """Compare on the paper's two networks and the demo's."""
    torch.set_num_threads(THREADS)
    rows, table = [], []
    with tempfile.TemporaryDirectory() as folder:
        cifar = prepared(Path(folder) / "cifar", random_images(220))
        demo = prepared(Path(folder) / "digits", digits(), test=0.2)
        cases = {
            "WideResNet50-0.25": (longest_run("paper", "cifar10", 0.25), cifar, 1.5),
            "WideResNet18-1": (longest_run("paper", "miniimagenet", 1), cifar, 1.5),
            "the demo's network, width 1": (longest_run("demo", "demo", 1), demo, 2.0),
        }
        for name, (settings, dataset, target) in cases.items():
            ratios, shares = compare(settings, dataset)
            count = len(dataset.labels("train"))
            ours, theirs = (count / min(times) for times in (ratios.ours, ratios.theirs))
            # Measured beside each network, because it changes with what else the machine does.
            rate = matrix_product_rate()
            share = ours * operations_of_a_step(settings, dataset) / rate
            rows.append(
                Row(
                    figure=f"Training, {name}: {ours:,.1f} images/s",
                    alternative=f"plain PyTorch loop: {theirs:,.1f} images/s",
                    ratio=str(ratios),
                    target=f">= {target:g}",
                    met=ratios.speedup >= target,
                    why="" if ratios.speedup >= target else why(share, dict(shares)),
                )
            )
            largest = ", ".join(f"{kind} {part:.0%}" for kind, part in shares if part >= 0.01)
            table.append([name, f"{rate / 1e9:.0f} GFLOP/s", f"{share:.0%}", largest])
    caption = (
        f"Both sides in float32 on {THREADS} threads, the same images and batches (100, the demo's 64). A step's "
        "operations at our rate are given relative to a matrix product of 2,048 x 2,048, which convolutions can "
        "exceed, and its time goes to:"
    )
    record(
        "Training", rows, [Table(caption, ["network", "matrix product", "relative to it", "time by operation"], table)]
    )


if __name__ == "__main__":
    main()
