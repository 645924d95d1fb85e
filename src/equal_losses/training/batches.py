"""Images on the device, as batches: what a network is shown is a function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from equal_losses.datasets.prepared import PreparedDataset
from equal_losses.running.errors import InputError

EVALUATION_BATCH = 128  # on a CPU the activations of larger batches leave the caches


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
    """uint8 pixels to floats of mean 0 and standard deviation 1 in each channel.

    Args:
        mean, std: one value per channel, on the 0..1 scale.
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
                    f"training.{key}.{name}: {len(values)} values; expected {dataset.channels}, one per channel"
                )
        return cls(given["mean"], given["std"], device)

    def __call__(self, images: Tensor) -> Tensor:
        """N x H x W x C, uint8, to N x C x H x W, float32, laid out with the channels last."""
        return torch.addcmul(self._shift, images.float(), self._scale).permute(0, 3, 1, 2)


class EpochRandomness:
    """Order, crops and flips of one epoch: a function of (seed, epoch), drawn on the CPU so that devices agree."""

    def __init__(self, settings: Mapping, epoch: int, count: int, device: torch.device):
        generator = torch.Generator().manual_seed(stream(settings["seed"], epoch + 1))
        self.order = torch.randperm(count, generator=generator).to(device)
        self._padding = settings["crop_padding"]
        offsets = torch.randint(0, 2 * self._padding + 1, (2, count), generator=generator)
        mirrored = torch.rand(count, generator=generator) < 0.5
        self._offsets = offsets.to(device) if self._padding else None
        self._mirrored = mirrored.to(device) if settings["flip"] else None

    def augmented(self, images: Tensor, positions: slice) -> Tensor:
        """The batch (B x H x W x C, uint8) at `positions` of the order, cropped and flipped image by image.

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


def shuffled(
    settings: Mapping, epoch: int, images: DeviceImages, normalization: Normalization
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of an epoch, images and labels, as a network is shown them; the last may be smaller."""
    randomness = EpochRandomness(settings, epoch, len(images), images.labels.device)
    for begin in range(0, len(images), settings["batch_size"]):
        positions = slice(begin, begin + settings["batch_size"])
        picked = randomness.order[positions]
        yield normalization(randomness.augmented(images.images[picked], positions)), images.labels[picked]


def stream(seed: int, number: int) -> int:
    """Seed of an independent random stream."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])
