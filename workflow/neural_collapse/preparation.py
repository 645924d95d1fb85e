"""Images split and stored once, as arrays that every job maps into memory.

`prepare` takes the validation images out of the training part and writes the arrays and a manifest;
`PreparedDataset` opens them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .datasets import Images
from .errors import InputError
from .files import atomic_path, read_json, sha256, write_json

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class PreparedDataset:
    """Arrays written by `prepare`, mapped into memory: jobs on one machine share the pages."""

    directory: Path
    manifest: dict

    @classmethod
    def open(cls, manifest: str | Path) -> PreparedDataset:
        """Open by the path of the manifest."""
        return cls(Path(manifest).parent, read_json(manifest))

    def images(self, split: str) -> np.ndarray:
        """N x H x W x C, uint8; `split` is one of `SPLITS`."""
        # Copy-on-write, because PyTorch takes writable memory only; nothing writes, so nothing is copied.
        return np.load(self.directory / f"images_{split}.npy", mmap_mode="c")

    def labels(self, split: str) -> np.ndarray:
        """N, int64."""
        return np.load(self.directory / f"labels_{split}.npy")

    @property
    def class_count(self) -> int:
        """K."""
        return len(self.manifest["classes"])

    @property
    def channels(self) -> int:
        """C."""
        return self.manifest["image_shape"][2]


def prepare(
    directory: str | Path,
    images: Images,
    *,
    split_seed: int,
    stratified: bool,
    validation_fraction: float,
    test_fraction: float | None,
) -> None:
    """Split, and write `images_*.npy`, `labels_*.npy` and, last of all, `manifest.json` to `directory`.

    Args:
        split_seed: seed of the split; every run of a study shares the split.
        stratified: whether each part has the classes in equal shares.
        validation_fraction: share of the training part that becomes the validation part, above 0 and below 1.
        test_fraction: share of all images for the test part, where the source has none; otherwise None.

    Raises:
        InputError: where a class has no image in the training part, or the test part is asked for twice or not at all.
    """
    from sklearn.model_selection import train_test_split

    def split(indices: np.ndarray, fraction: float) -> list[np.ndarray]:
        strata = images.train_labels[indices] if stratified else None
        try:
            return train_test_split(indices, test_size=fraction, random_state=split_seed, stratify=strata)
        except ValueError as error:
            raise InputError(f"split of {len(indices)} images at {fraction}: {error}") from error

    directory = Path(directory)
    train = np.arange(len(images.train_labels))
    parts = {}
    if images.test_images is None:
        if test_fraction is None:
            raise InputError("test_fraction: missing; this dataset has no test part: give a share of 0..1")
        train, test = split(train, test_fraction)
        parts["test"] = (images.train_images[np.sort(test)], images.train_labels[np.sort(test)])
    else:
        if test_fraction is not None:
            raise InputError(f"test_fraction: {test_fraction}; not allowed: this dataset has a test part of its own")
        parts["test"] = (images.test_images, images.test_labels)
    train, validation = split(train, validation_fraction)
    parts["val"] = (images.train_images[np.sort(validation)], images.train_labels[np.sort(validation)])
    parts["train"] = (images.train_images[np.sort(train)], images.train_labels[np.sort(train)])

    class_count = len(images.classes)
    counts = {name: np.bincount(labels, minlength=class_count) for name, (_, labels) in parts.items()}
    if 0 in counts["train"]:
        empty = images.classes[int(np.argmin(counts["train"]))]
        raise InputError(f"class {empty!r}: no image in the training part; allowed: at least one a class")

    digests = {}
    for name in SPLITS:
        for kind, array in zip(("images", "labels"), parts[name], strict=True):
            path = directory / f"{kind}_{name}.npy"
            with atomic_path(path) as temporary:
                np.save(temporary, array)
            digests[path.name] = sha256(path)
    mean, std = pixel_statistics(parts["train"][0])
    write_json(
        directory / "manifest.json",
        {
            "classes": images.classes,
            "image_shape": list(images.train_images.shape[1:]),
            "counts": {name: counts[name].tolist() for name in SPLITS},
            "pixel_mean": mean,
            "pixel_std": std,
            "sha256": digests,
        },
    )


def pixel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel's pixels, scaled to 0..1, of N x H x W x C uint8 images.

    Computed exactly from the histogram of each channel.
    """
    values = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[3]):
        # In pieces, because bincount makes eight bytes of each.
        pieces = (images[begin : begin + 1000, ..., channel] for begin in range(0, len(images), 1000))
        histogram = sum(np.bincount(piece.ravel(), minlength=256) for piece in pieces)
        mean = histogram @ values / histogram.sum()
        means.append(float(mean))
        stds.append(float(np.sqrt(histogram @ (values - mean) ** 2 / histogram.sum())))
    return means, stds
