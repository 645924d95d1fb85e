"""The files of MNIST and Fashion-MNIST: IDX (LeCun, Cortes, Burges), plain or compressed (.gz)."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from equal_losses.datasets._downloads import fetch
from equal_losses.datasets._images import Images, chosen, folder_at
from equal_losses.running.errors import InputError

_NAMES = [f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")]


def files(published: str, root: str) -> list[Path]:
    """The four files, as far as they are there; `published` is torchvision's name of the dataset."""
    return sorted(path for path in _paths(published, Path(root).expanduser()) if path.is_file())


def read(
    kind: str, published: str, classes: list[str], root: str | None, per_class: int | None, test_per_class: int | None
) -> Images:
    """All images, or balanced subsets."""
    paths = _downloaded(kind, published) if root is None else _paths(published, folder_at(root))

    def part(images_path: Path, labels_path: Path, which: str, per_class: int | None) -> tuple[np.ndarray, np.ndarray]:
        images = _read_idx(images_path, 3)
        labels = _read_idx(labels_path, 1).astype(np.int64)
        if len(images) != len(labels):
            raise InputError(f"{labels_path}: {len(labels)} labels; expected {len(images)}, one for each image")
        indices = chosen(labels, classes, per_class, labels_path, which)
        return images[indices][..., None], labels[indices]

    train, test = part(*paths[:2], "training", per_class), part(*paths[2:], "test", test_per_class)
    if train[0].shape[1:] != test[0].shape[1:]:
        sizes = [" x ".join(map(str, images.shape[1:3])) for images, _ in (train, test)]
        raise InputError(f"{paths[2]}: images of {sizes[1]}; expected {sizes[0]}, as in {paths[0].name}")
    return Images(*train, *test, classes)


def _downloaded(kind: str, published: str) -> list[Path]:
    from torchvision import datasets

    source = getattr(datasets, published)
    sums, names = dict(source.resources), [f"{name}.gz" for name in _NAMES]
    return [fetch(kind, name, [mirror + name for mirror in source.mirrors], sums[name]) for name in names]


def _paths(published: str, folder: Path) -> list[Path]:
    if (folder / published / "raw").is_dir():  # where torchvision puts them
        folder = folder / published / "raw"
    return [folder / (name if (folder / name).is_file() else f"{name}.gz") for name in _NAMES]


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """An array of bytes of 3 dimensions (images, N x H x W) or 1 (labels, N)."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as content:
            head = content.read(4 + 4 * dimensions)
            body = content.read()
    except FileNotFoundError as error:
        raise InputError(f"{path}: missing; expected an IDX file, with or without .gz") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: truncated or not gzip: {error}; expected the whole file") from error
    # Two zeros, the type (8 is bytes), the number of dimensions; then the dimensions, most significant byte first.
    magic = bytes([0, 0, 8, dimensions])
    if head[:4] != magic:
        raise InputError(f"{path}: begins with {head[:4].hex()!r}; expected {magic.hex()!r}, an IDX file of bytes")
    if len(head) < 4 + 4 * dimensions:
        raise InputError(f"{path}: truncated in its head; expected the whole file")
    shape = np.frombuffer(head[4:], ">u4").tolist()
    if len(body) != math.prod(shape):
        size = " x ".join(map(str, shape))
        raise InputError(f"{path}: {len(body)} bytes of data; expected {math.prod(shape)} ({size}), as its head says")
    return np.frombuffer(body, np.uint8).reshape(shape)
