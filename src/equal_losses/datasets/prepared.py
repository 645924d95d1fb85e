"""Images split and stored once, as arrays that every job maps into memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equal_losses.datasets._images import Images
from equal_losses.running.errors import InputError
from equal_losses.running.files import atomic_path, read_json, sha256, write_json

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class PreparedDataset:
    """What `prepare` wrote. The arrays are mapped into memory: jobs on one machine share the pages."""

    manifest: dict
    arrays: dict[str, np.ndarray]

    @classmethod
    def open(cls, manifest: str | Path) -> PreparedDataset:
        """Open by the path of the manifest; by then a job has checked that all files are as they were written."""
        folder = Path(manifest).parent
        names = [f"{kind}_{split}" for kind in ("images", "labels") for split in SPLITS]
        # Copy-on-write, because PyTorch takes writable memory only; nothing writes, so nothing is copied.
        return cls(read_json(manifest), {name: np.load(folder / f"{name}.npy", mmap_mode="c") for name in names})

    def images(self, split: str) -> np.ndarray:
        """N x H x W x C, uint8; `split` is one of `SPLITS`."""
        return self.arrays[f"images_{split}"]

    def labels(self, split: str) -> np.ndarray:
        """N, int64."""
        return self.arrays[f"labels_{split}"]

    @property
    def class_count(self) -> int:
        """K."""
        return len(self.manifest["classes"])

    @property
    def channels(self) -> int:
        """C."""
        return self.manifest["image_shape"][2]


def prepare(
    directory: Path,
    images: Images,
    *,
    split_seed: int,
    stratified: bool,
    validation_fraction: float,
    test_fraction: float | None,
    sources: Iterable[Path] = (),
) -> None:
    """Split, and write `images_*.npy`, `labels_*.npy` and, last of all, `manifest.json` to `directory`.

    Args:
        split_seed: seed of the split; every run of a study shares the split.
        stratified: whether each part has the classes in equal shares.
        validation_fraction: share of the training part that becomes the validation part, above 0 and below 1.
        test_fraction: share of all images for the test part, where the source has none; otherwise None.
        sources: the files that the images were read from. The manifest has their checksums, each under the file's path
            below the innermost folder that has them all.

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

    def taken(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        indices = np.sort(indices)
        return images.train_images[indices], images.train_labels[indices]

    train = np.arange(len(images.train_labels))
    if images.test_images is not None:
        if test_fraction is not None:
            raise InputError(f"test_fraction: {test_fraction}; this dataset has a test part of its own; expected null")
        parts = {"test": (images.test_images, images.test_labels)}
    elif test_fraction is None:
        raise InputError("test_fraction: missing; this dataset has no test part; expected a share of 0..1")
    else:
        train, test = split(train, test_fraction)
        parts = {"test": taken(test)}
    train, validation = split(train, validation_fraction)
    parts |= {"train": taken(train), "val": taken(validation)}

    class_count = len(images.classes)
    counts = {name: np.bincount(parts[name][1], minlength=class_count).tolist() for name in SPLITS}
    if 0 in counts["train"]:
        empty = images.classes[counts["train"].index(0)]
        raise InputError(f"class {empty!r}: no image in the training part; expected one or more of each class")

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
            "counts": counts,
            "pixel_mean": mean,
            "pixel_std": std,
            "sha256": digests,
            "sources": _checksums(sources),
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


def _checksums(sources: Iterable[Path]) -> dict[str, str]:
    paths = sorted(sources)
    if not paths:
        return {}
    folder = os.path.commonpath([path.parent for path in paths])
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}
