"""Datasets of a few images, written in the formats that the real ones have on disk.

Every image carries its class and its number within the class, so that a test sees what was read.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image


def pixel(label: int, number: int) -> int:
    """The value of the pixels of the image `number` of a class, in CIFAR and MNIST."""
    return (label + 10 * number) % 256


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 and the numpy of its time wrote: text and data as byte strings, and the old module names."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def __init__(self, file):
        super().__init__(file, protocol=2)

    def save_byte_string(self, value):
        data = value.encode("latin1") if isinstance(value, str) else value
        if len(data) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_byte_string

    def save_global(self, value, name=None):
        module = value.__module__.replace("numpy._core", "numpy.core")
        self.write(pickle.GLOBAL + f"{module}\n{name or value.__qualname__}\n".encode())
        self.memoize(value)


def pickled(value: object, protocol: int | str = "python 2") -> bytes:
    """A pickle by Python 2 or, with a number, by this Python."""
    if protocol == "python 2":
        file = io.BytesIO()
        Python2Pickler(file).dump(value)
        return file.getvalue()
    return pickle.dumps(value, protocol=protocol)


class Call:
    """Pickled, it is a call of `function`."""

    def __init__(self, function: Callable, *arguments: object):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def malicious(mark: Path) -> bytes:
    """A pickle that makes the file `mark` when Python's own reader reads it."""
    return pickle.dumps(Call(os.system, f"touch {mark}"))


def _write_cifar(path: Path, classes: int, numbers: range, labels_key: str) -> None:
    """One class after the other; red, green and blue are p, p + 1 and p + 2, and the top left red is the class."""
    pairs = [(label, number) for number in numbers for label in range(classes)]
    data = np.array([np.repeat([(pixel(*pair) + c) % 256 for c in range(3)], 1024) for pair in pairs], np.uint8)
    labels = data[:, 0] = [label for label, _ in pairs]
    path.write_bytes(pickled({"batch_label": "a batch", labels_key: labels, "data": data}))


def write_cifar10(root: Path, per_class: int = 1) -> Path:
    """`cifar-10-batches-py/`: 5 x `per_class` training and `per_class` test images of each class."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for index, name in enumerate([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]):
        _write_cifar(folder / name, 10, range(index * per_class, (index + 1) * per_class), "labels")
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (folder / "batches.meta").write_bytes(pickled({"label_names": names, "num_vis": 3072}))
    return folder


def write_cifar100(root: Path, per_class: int = 2) -> Path:
    """`cifar-100-python/`: `per_class` training images and one test image of each class."""
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    for name, numbers in (("train", range(per_class)), ("test", range(per_class, per_class + 1))):
        _write_cifar(folder / name, 100, numbers, "fine_labels")
    meta = {"fine_label_names": [f"fine {label:02}" for label in range(100)], "coarse_label_names": ["coarse"] * 20}
    (folder / "meta").write_bytes(pickled(meta))
    return folder


def write_archive(folder: Path, archive: Path) -> Path:
    """A `.tar.gz` of a folder, as CIFAR is published."""
    archive.parent.mkdir(exist_ok=True)
    with tarfile.open(archive, "w:gz") as members:
        members.add(folder, folder.name)
    return archive


def idx(array: np.ndarray) -> bytes:
    """The bytes of an IDX file."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(struct.pack(">I", side) for side in array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_mnist(root: Path, per_class: int = 3, test_per_class: int = 2, *, compressed: bool = False) -> Path:
    """The four IDX files of MNIST and Fashion-MNIST: 28 x 28 images whose corner is the class."""
    root.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", per_class), ("t10k", test_per_class)):
        pairs = [(label, number) for number in range(count) for label in range(10)]
        images = np.tile(np.array([pixel(*pair) for pair in pairs])[:, None, None], (28, 28))
        labels = images[:, 0, 0] = np.array([label for label, _ in pairs])
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            if compressed:
                (root / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (root / name).write_bytes(idx(array))
    return root


def _mini_imagenet_parts(per_class: int) -> dict[str, dict[str, list[tuple[int, int]]]]:
    """64, 16 and 20 classes by name, mixed over the parts as the real ones are, and their (class, number)."""
    parts: dict[str, dict[str, list[tuple[int, int]]]] = {"train": {}, "val": {}, "test": {}}
    for label in range(100):
        part = "train" if label % 25 < 16 else "val" if label % 25 < 20 else "test"
        parts[part][f"n{label:08}"] = [(label, number) for number in range(per_class)]
    return parts


def write_mini_imagenet_pickles(root: Path, per_class: int = 6, size: int = 84) -> Path:
    """The three common pickles: red is the class, green the image's number."""
    root.mkdir(parents=True, exist_ok=True)
    for part, classes in _mini_imagenet_parts(per_class).items():
        pairs = [pair for members in classes.values() for pair in members]
        images = np.zeros((len(pairs), size, size, 3), np.uint8)
        images[..., :2] = (np.array(pairs) % 256)[:, None, None, :]
        indices = np.arange(len(pairs)).reshape(-1, per_class).tolist()
        content = {"image_data": images, "class_dict": dict(zip(classes, indices, strict=True))}
        (root / f"mini-imagenet-cache-{part}.pkl").write_bytes(pickled(content))
    return root


def write_mini_imagenet_tables(root: Path, per_class: int = 6, size: int = 84) -> Path:
    """The split's three tables and `images/`, with the same images as the pickles."""
    (root / "images").mkdir(parents=True)
    for part, classes in _mini_imagenet_parts(per_class).items():
        lines = ["filename,label"]
        for name, pairs in classes.items():
            for label, number in pairs:
                file = f"{name}{number:08}.png"
                Image.new("RGB", (size, size), (label, number, 0)).save(root / "images" / file)
                lines.append(f"{file},{name}")
        (root / f"{part}.csv").write_text("\n".join(lines) + "\n")
    return root


def write_image_folder(root: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 3, size: int = 8) -> Path:
    """One folder per class, with PNG images: red is the class, green the image's number."""
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (size, size), (label, number, 0)).save(root / name / f"{number}.png")
    return root
