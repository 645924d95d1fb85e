"""Last-layer features of networks: of a run's snapshots, reduced to what the metrics need, or in full."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from . import weights
from .metrics import FeatureStatistics, feature_statistics
from .networks import Network
from .preparation import SPLITS, PreparedDataset
from .training import EVALUATION_BATCH, DeviceImages, EpochRandomness, Normalization, build_network


def extract(
    settings: Mapping,
    dataset: PreparedDataset,
    snapshots: Mapping[str, Path],
    *,
    device: torch.device,
    augmented: bool,
) -> dict[str, np.ndarray]:
    """Feature statistics of the training images and accuracies of every split, a row a snapshot.

    Args:
        settings: the resolved settings of the run.
        snapshots: weight files by snapshot name; the file's metadata hold the epoch.
        augmented: whether the training images are cropped and flipped (at random by (seed, epoch)) before.

    Returns:
        S = number of snapshots: snapshot (S, text), epoch (S), accuracy_train, accuracy_val, accuracy_test (S, 0..1)
        and the fields of `metrics.FeatureStatistics`, each with a leading axis S.
    """
    splits = {split: DeviceImages.load(dataset, split, device) for split in SPLITS}
    normalizations = {split: Normalization.of(settings, dataset, device, split) for split in SPLITS}
    network = build_network(settings, dataset).to(device)
    rows = []
    for name, path in snapshots.items():
        tensors, metadata = weights.load(path)
        network.load_state_dict(tensors)
        epoch = int(metadata["epoch"])
        randomness = EpochRandomness(settings, epoch, len(splits["train"]), device) if augmented else None
        train_features = last_layer_features(network, splits["train"], normalizations["train"], randomness)
        classifier = [network.classifier.weight, network.classifier.bias]
        statistics = feature_statistics(
            train_features,
            splits["train"].labels.cpu().numpy(),
            *(parameter.detach().cpu().numpy() for parameter in classifier),
        )
        rows.append(
            {
                "snapshot": name,
                "epoch": epoch,
                "accuracy_train": statistics.accuracy,
                "accuracy_val": accuracy(network, splits["val"], normalizations["val"]),
                "accuracy_test": accuracy(network, splits["test"], normalizations["test"]),
            }
            | {field.name: getattr(statistics, field.name) for field in fields(FeatureStatistics)}
        )
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


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
        directory: an existing folder for a file a model, N x d x 4 bytes each.

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


@torch.inference_mode()
def accuracy(network: Network, images: DeviceImages, normalization: Normalization) -> float:
    """Share of images (0..1) whose largest logit is the label's, in evaluation mode."""
    network.eval()
    correct = torch.zeros((), dtype=torch.int64, device=images.labels.device)
    for begin in range(0, len(images), EVALUATION_BATCH):
        rows = slice(begin, begin + EVALUATION_BATCH)
        logits, _ = network(normalization(images.images[rows]))
        correct += (logits.argmax(dim=1) == images.labels[rows]).sum()
    return int(correct) / len(images)
