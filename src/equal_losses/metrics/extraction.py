"""Last-layer features of networks: of a run's snapshots, reduced to what the metrics need, or in full."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from equal_losses.datasets.prepared import SPLITS, PreparedDataset
from equal_losses.metrics import BEST
from equal_losses.metrics.feature_statistics import feature_statistics
from equal_losses.networks.network import Network
from equal_losses.running import weights
from equal_losses.running.files import atomic_path
from equal_losses.training.batches import EVALUATION_BATCH, DeviceImages, EpochRandomness, Normalization
from equal_losses.training.loop import build_network, evaluate
from equal_losses.training.numerics import reproducible, resolve_device

# Name, completed epochs and weights.
Snapshot = tuple[str, int, Mapping[str, Tensor]]


def snapshots_of_run(snapshots: Path, best: Path, epochs: Iterable[int], member: str = "") -> Iterator[Snapshot]:
    """The snapshots of a run in the order of the epochs, the best model last.

    Args:
        snapshots: file with the weights at `epochs` (see `training.job`).
        best: file with the weights of the best epoch.
        member: of a stack, the place of the run and a slash.
    """
    for epoch in sorted(epochs):
        yield str(epoch), epoch, weights.load(snapshots, f"{epoch}/{member}")[0]
    tensors, metadata = weights.load(best)
    yield BEST, int(metadata["epoch"]), tensors


def write_features(
    path: Path,
    settings: Mapping,
    dataset: PreparedDataset,
    snapshots: Iterable[Snapshot],
    *,
    augmented: bool,
    compute: Mapping,
) -> None:
    """Write the feature statistics of the training images and the accuracies of every split as an .npz file.

    Its arrays have one row per snapshot: snapshot (text), epoch, accuracy_train, accuracy_val, accuracy_test (0..1) and
    the fields of `feature_statistics.FeatureStatistics`.

    Args:
        settings: the resolved settings of the run.
        augmented: whether the training images are cropped and flipped (at random by (seed, epoch)) before.
        compute: that section of the study.
    """
    rows = []
    with reproducible(compute["threads"]):
        device = resolve_device(compute["device"])
        splits = {split: DeviceImages.load(dataset, split, device) for split in SPLITS}
        normalizations = {split: Normalization.of(settings, dataset, device, split) for split in SPLITS}
        network = build_network(settings, dataset).to(device)
        labels = splits["train"].labels.cpu().numpy()
        for name, epoch, tensors in snapshots:
            network.load_state_dict(tensors)
            randomness = EpochRandomness(settings, epoch, len(labels), device) if augmented else None
            features = last_layer_features(network, splits["train"], normalizations["train"], randomness)
            parameters = (network.classifier.weight, network.classifier.bias)
            classifier = (None if each is None else each.detach().cpu().numpy() for each in parameters)
            statistics = feature_statistics(features, labels, *classifier)
            row = {"snapshot": name, "epoch": epoch, "accuracy_train": statistics.accuracy, **vars(statistics)}
            for split in ("val", "test"):
                _, row[f"accuracy_{split}"] = evaluate(network, _cross_entropy, splits[split], normalizations[split])
            rows.append(row)
    with atomic_path(path) as temporary:
        np.savez(temporary, **{key: np.stack([row[key] for row in rows]) for key in rows[0]})


def _cross_entropy(logits: Tensor, labels: Tensor, features: Tensor, reduction: str) -> Tensor:
    return cross_entropy(logits, labels, reduction=reduction)


def mapped_features(
    models: Mapping[Hashable, tuple[Mapping, str | Path | None]],
    dataset: PreparedDataset,
    split: str,
    directory: Path,
    *,
    device: torch.device,
) -> dict[Hashable, np.ndarray]:
    """Features of a split's images, as they are without augmentation, under each of several models.

    Args:
        models: by any name, the settings of a run and the file of its weights, or None for the untrained network of
            those settings.
        directory: an existing folder for one file per model, N x d x 4 bytes each.

    Returns:
        For each model N x d, float32, memory-mapped: they need not fit into memory together.
    """
    images = DeviceImages.load(dataset, split, device)
    mapped = {}
    for number, (name, (settings, path)) in enumerate(models.items()):
        network = build_network(settings, dataset)
        if path is not None:
            network.load_state_dict(weights.load(path)[0])
        normalization = Normalization.of(settings, dataset, device, split)
        file = directory / f"{split}{number}.npy"
        np.save(file, last_layer_features(network.to(device), images, normalization))
        mapped[name] = np.load(file, mmap_mode="r")
    return mapped


@torch.inference_mode()
def last_layer_features(
    network: Network, images: DeviceImages, normalization: Normalization, randomness: EpochRandomness | None = None
) -> np.ndarray:
    """N x d, float32, in evaluation mode, in the order of `images`."""
    network.eval()
    # On the device until all of them are there: it is waited for once.
    features = torch.empty((len(images), network.classifier.in_features), device=images.labels.device)
    for begin in range(0, len(images), EVALUATION_BATCH):
        rows = slice(begin, begin + EVALUATION_BATCH)
        pixels = images.images[rows]
        if randomness is not None:
            pixels = randomness.augmented(pixels, rows)
        features[rows] = network.backbone(normalization(pixels))
    return features.cpu().numpy()
