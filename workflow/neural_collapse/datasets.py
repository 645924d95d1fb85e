"""Sources of labelled images.

A dataset is a function that returns `Images`; its name is the `kind` of the configuration and its keywords are keys
there.

Keywords that several have:

- `root`: a folder with the files, absolute or relative to the working directory. Nothing is downloaded then. Its files
  need not be the published ones (a cut or a corrected version is welcome), so what is checked is their form: their
  shapes, lengths, labels and classes, by which a truncated file is caught. Without `root` the files are downloaded to
  `results/downloads/<kind>`, and checked against the published MD5 sums at every use.
- `per_class`: a balanced subset: so many images of each class of the training part and, of each class of the test
  part, as many or, where a class has fewer, as the smallest class has. Of a class's images, in the order of the
  source, they are taken at even distances from the first on; chance has no part in it.
"""

from __future__ import annotations

import csv
import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import downloads, image_files, safe_pickle
from .errors import InputError

# Of datasets that are always the same, known here before anything is read: K, and images of the training and of the
# test part, height, width and channels.
CLASSES = {"digits": 10, "cifar10": 10, "cifar100": 100, "mnist": 10, "fashion_mnist": 10, "mini_imagenet": 100}
SIZES = {
    "digits": (1797, 0, 8, 8, 1),
    "cifar10": (50_000, 10_000, 32, 32, 3),
    "cifar100": (50_000, 10_000, 32, 32, 3),
    "mnist": (60_000, 10_000, 28, 28, 1),
    "fashion_mnist": (60_000, 10_000, 28, 28, 1),
    "mini_imagenet": (50_000, 10_000, 84, 84, 3),
}

_DOWNLOADS = Path("results/downloads")


@dataclass(frozen=True)
class Images:
    """Images as a source delivers them.

    Attributes:
        train_images: N x H x W x C, uint8, from which the validation part is still to be taken.
        train_labels: N, int64, in 0..K-1.
        test_images, test_labels: the same of the test part, or None where the source has no test part of its own.
        classes: K names.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray | None
    test_labels: np.ndarray | None
    classes: list[str]


def digits() -> Images:
    """scikit-learn's 1,797 handwritten digits (UCI, Alpaydin and Kaynak 1998): 8 x 8, grey, without a test part."""
    from sklearn.datasets import load_digits

    source = load_digits()
    images = np.rint(source.images * (255 / 16)).astype(np.uint8)[..., None]
    return Images(images, source.target.astype(np.int64), None, None, [str(digit) for digit in range(10)])


def cifar10(*, root: str | None = None, per_class: int | None = None) -> Images:
    """CIFAR10 (Krizhevsky 2009): 50,000 training and 10,000 test images, 32 x 32, RGB, 10 classes.

    Args:
        root: folder that has `cifar-10-batches-py/`, or its files, or `cifar-10-python.tar.gz`; None downloads.
        per_class: images of each class; None takes all.

    Raises:
        InputError: where a file is missing, truncated or not what it should be, or the download fails.
    """
    return _cifar("cifar10", _CIFAR10, root, per_class)


def cifar100(*, root: str | None = None, per_class: int | None = None) -> Images:
    """CIFAR100 (Krizhevsky 2009): 50,000 training and 10,000 test images, 32 x 32, RGB, 100 (fine) classes.

    Args:
        root: folder that has `cifar-100-python/`, or its files, or `cifar-100-python.tar.gz`; None downloads.
        per_class: images of each class; None takes all.

    Raises:
        InputError: where a file is missing, truncated or not what it should be, or the download fails.
    """
    return _cifar("cifar100", _CIFAR100, root, per_class)


def mnist(*, root: str | None = None, per_class: int | None = None) -> Images:
    """MNIST (LeCun, Cortes, Burges 1998): 60,000 training and 10,000 test images, 28 x 28, grey, 10 classes.

    Args:
        root: folder that has the four IDX files (`train-images-idx3-ubyte`, ...), plain or `.gz`; None downloads.
        per_class: images of each class; None takes all.

    Raises:
        InputError: where a file is missing, truncated or not what it should be, or the download fails.
    """
    return _mnist("mnist", "MNIST", [str(digit) for digit in range(10)], root, per_class)


def fashion_mnist(*, root: str | None = None, per_class: int | None = None) -> Images:
    """Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 60,000 training and 10,000 test images, 28 x 28, grey, 10 classes.

    Args:
        root: as for `mnist`; Debian's package dataset-fashion-mnist has it in `/usr/share/datasets/fashion-mnist`.
        per_class: images of each class; None takes all.

    Raises:
        InputError: where a file is missing, truncated or not what it should be, or the download fails.
    """
    return _mnist("fashion_mnist", "FashionMNIST", _FASHION, root, per_class)


def mini_imagenet(*, root: str, size: int = 84, per_class: int | None = None) -> Images:
    """miniImageNet (Vinyals et al. 2016, in the selection of Ravi and Larochelle 2017): 100 classes, RGB.

    Its 64 training, 16 validation and 20 test classes are a few-shot learner's; here they are one set of 100 classes,
    sorted by name. The first 500 images of each class, in the order of the files, are the training part and the last
    100 are the test part; of a class that has n images and not 600, the last n // 6 are.

    Args:
        root: folder that has `mini-imagenet-cache-train.pkl`, `-val.pkl` and `-test.pkl`, each a dictionary of
            `image_data` (N x H x W x 3, uint8) and `class_dict` (class name to indices); or the split's `train.csv`,
            `val.csv` and `test.csv` (columns filename, label) beside a folder `images`. Where it has both, the pickles.
        size: pixels; images of another size are resized as in `image_folder`.
        per_class: images of each class; None takes all.

    Raises:
        InputError: where a file is missing, truncated, unreadable or not what it should be.
    """
    folder = _folder(root)
    pickles = [folder / f"mini-imagenet-cache-{part}.pkl" for part in ("train", "val", "test")]
    tables = [folder / f"{part}.csv" for part in ("train", "val", "test")]
    if any(path.exists() for path in pickles):
        members, take = _mini_imagenet_pickles(pickles, size)
    elif any(path.exists() for path in tables):
        members, take = _mini_imagenet_tables(tables, folder / "images", size)
    else:
        names = ", ".join(path.name for path in (*pickles, *tables))
        raise InputError(
            f"{folder}: has no part of miniImageNet; allowed: the three pickles or three tables of {names}"
        )
    classes = sorted(members)
    if len(classes) != CLASSES["mini_imagenet"]:
        raise InputError(f"{folder}: {len(classes)} classes; allowed: the {CLASSES['mini_imagenet']} of miniImageNet")
    counts = [len(members[name]) for name in classes]
    if min(counts) < 6:
        fewest = classes[counts.index(min(counts))]
        raise InputError(
            f"{folder}: class {fewest!r} has {min(counts)} images; allowed: 6 or more (600 in miniImageNet)"
        )
    if set(counts) != {600}:
        print(f"{folder}: {min(counts)} to {max(counts)} images a class, not 600; the last sixth are the test part")

    def part(of_class: Callable[[np.ndarray], np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
        members_of = [of_class(members[label]) for label in classes]
        labels = np.repeat(np.arange(len(classes)), [len(indices) for indices in members_of])
        chosen = _chosen(labels, classes, per_class, folder, name)
        return take(np.concatenate(members_of)[chosen]), labels[chosen]

    train = part(lambda indices: indices[: len(indices) - len(indices) // 6], "training")
    test = part(lambda indices: indices[len(indices) - len(indices) // 6 :], "test")
    return Images(*train, *test, classes)


def image_folder(*, root: str, size: int, per_class: int | None = None) -> Images:
    """Your own images, RGB, in a folder for each class, whose name is the folder's.

    The class folders stand in `root/train` and `root/test`, or in `root` itself; then there is no test part, and
    `test_fraction` takes one. Images are found by their suffix (`image_files.SUFFIXES`), in folders within folders too,
    and sorted by their path; hidden files and folders and other files are passed over. Grey, palette and RGBA images
    become RGB, and images of another size are scaled until the shorter side is `size` and the middle is cut out (see
    `image_files.read_photographs`); how many is printed.

    Args:
        root: the folder.
        size: pixels; the images become size x size.
        per_class: images of each class; None takes all. Without a test part it is chosen before the split.

    Raises:
        InputError: where the folder is missing, a class has no image or an image is unreadable.
    """
    folder = _folder(root)
    parts = [folder / name for name in ("train", "test")]
    missing = [path for path in parts if not path.is_dir()]
    if len(missing) == 1:
        raise InputError(f"{missing[0]}: missing; allowed: train and test with class folders, or class folders alone")
    if missing:
        classes = _class_folders(folder)
        return Images(*_photographs(folder, classes, size, per_class, "training"), None, None, classes)
    classes, others = map(_class_folders, parts)
    if classes != others:
        odd = sorted(set(classes) ^ set(others))[0]
        where = parts[0] if odd in classes else parts[1]
        raise InputError(f"class {odd!r}: only in {where}; allowed: the same class folders in train and test")
    train = _photographs(parts[0], classes, size, per_class, "training")
    test = _photographs(parts[1], classes, size, per_class, "test")
    return Images(*train, *test, classes)


def _folder(root: str | None) -> Path:
    if root is None:
        raise InputError("root: null; allowed: the folder that has the images")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise InputError(f"root: {root!r} is no folder (from {Path.cwd()}); allowed: the folder that has the files")
    return folder


def _chosen(labels: np.ndarray, classes: list[str], per_class: int | None, where: object, part: str) -> np.ndarray:
    """Indices of the images to take, ascending: all, or a balanced subset (see the module's docstring)."""
    wrong = labels[(labels < 0) | (labels >= len(classes))]
    if wrong.size:
        raise InputError(f"{where}: label {wrong[0]} in the {part} part; allowed: 0..{len(classes) - 1}")
    counts = np.bincount(labels, minlength=len(classes))
    fewest, smallest = int(counts.min()), classes[int(np.argmin(counts))]
    if fewest == 0:
        raise InputError(f"{where}: class {smallest!r} has no image in the {part} part; allowed: one or more")
    if per_class is None:
        return np.arange(len(labels))
    if per_class < 1:
        raise InputError(f"per_class: {per_class}; allowed: a whole number >= 1 or null")
    if part == "training" and per_class > fewest:
        raise InputError(f"per_class: {per_class}; class {smallest!r} of {where} has {fewest}; allowed: up to {fewest}")
    count = min(per_class, fewest)
    of_class = [np.flatnonzero(labels == label) for label in range(len(classes))]
    return np.sort(np.concatenate([indices[np.arange(count) * len(indices) // count] for indices in of_class]))


@dataclass(frozen=True)
class _Cifar:
    """Where the archives of CIFAR10 and CIFAR100 differ."""

    source: str
    archive: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    names_key: str
    labels_key: str


_CIFAR10 = _Cifar(
    source="CIFAR10",
    archive="cifar-10-python.tar.gz",
    folder="cifar-10-batches-py",
    train=("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"),
    test=("test_batch",),
    names="batches.meta",
    names_key="label_names",
    labels_key="labels",
)
_CIFAR100 = _Cifar(
    source="CIFAR100",
    archive="cifar-100-python.tar.gz",
    folder="cifar-100-python",
    train=("train",),
    test=("test",),
    names="meta",
    names_key="fine_label_names",
    labels_key="fine_labels",
)


def _cifar(kind: str, layout: _Cifar, root: str | None, per_class: int | None) -> Images:
    # torchvision knows where the archive is; its own loader would unpickle whatever it finds there.
    if root is None:
        from torchvision import datasets as published

        source = getattr(published, layout.source)
        place = downloads.fetch(_DOWNLOADS / kind, layout.archive, [source.url], source.tgz_md5)
        files = dict(_unpacked(place, layout))
    else:
        place = _folder(root)
        if (place / layout.folder).is_dir():
            place = place / layout.folder
        elif (place / layout.archive).exists() and not (place / layout.names).exists():
            place = place / layout.archive
        files = dict(_unpacked(place, layout) if place.is_file() else _loaded(place, layout))
    for name in (*layout.train, *layout.test, layout.names):
        if name not in files:
            raise InputError(f"{place / name}: missing; allowed: all files of {layout.source}")

    classes = files[layout.names].get(layout.names_key)
    if not isinstance(classes, list) or len(classes) != CLASSES[kind] or not all(isinstance(n, str) for n in classes):
        raise InputError(
            f"{place / layout.names}: no {layout.names_key}; allowed: {CLASSES[kind]} names under that key"
        )

    def part(names: tuple[str, ...], which: str) -> tuple[np.ndarray, np.ndarray]:
        batches = [_batch(files[name], layout.labels_key, place / name) for name in names]
        images = np.concatenate([images for images, _ in batches])
        labels = np.concatenate([labels for _, labels in batches])
        chosen = _chosen(labels, classes, per_class, place, which)
        # An image lies there as 1,024 bytes of red, as many of green and as many of blue.
        return np.ascontiguousarray(images[chosen].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels[chosen]

    return Images(*part(layout.train, "training"), *part(layout.test, "test"), classes)


def _loaded(folder: Path, layout: _Cifar) -> Iterator[tuple[str, dict]]:
    for name in (*layout.train, *layout.test, layout.names):
        if (folder / name).is_file():
            with open(folder / name, "rb") as file:
                yield name, _dictionary(safe_pickle.load(file, folder / name), folder / name)


def _unpacked(archive: Path, layout: _Cifar) -> Iterator[tuple[str, dict]]:
    """The files of an archive, read without unpacking it to the disk."""
    wanted = {f"{layout.folder}/{name}": name for name in (*layout.train, *layout.test, layout.names)}
    try:
        with gzip.open(archive) as content:
            with tarfile.open(fileobj=content, mode="r:") as members:
                for member in members:
                    if member.isfile() and member.name in wanted:
                        name = wanted[member.name]
                        where = archive / name
                        yield name, _dictionary(safe_pickle.load(members.extractfile(member), where), where)
            while content.read(2**20):  # gzip's own checksum comes last
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{archive}: truncated or no .tar.gz archive: {error}; allowed: the whole file") from error


def _dictionary(value: object, where: Path) -> dict:
    if not isinstance(value, dict):
        raise InputError(f"{where}: holds {type(value).__name__}; allowed: a dictionary")
    return value


def _batch(batch: dict, labels_key: str, where: Path) -> tuple[np.ndarray, np.ndarray]:
    images, labels = batch.get("data"), batch.get(labels_key)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != 3072:
        raise InputError(f"{where}: no data of the right form; allowed: an N x 3072 array of bytes")
    labels = _integers(labels)
    if labels is None or len(labels) != len(images):
        raise InputError(f"{where}: no {labels_key} of the right form; allowed: {len(images)} whole numbers")
    return images, labels


def _integers(values: object) -> np.ndarray | None:
    """A list or an array of whole numbers as an array, or None."""
    if isinstance(values, list) and all(type(value) is int for value in values):
        return np.array(values, dtype=np.int64)
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu" and values.ndim == 1:
        return values.astype(np.int64)
    return None


_FASHION = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]


def _mnist(kind: str, source: str, classes: list[str], root: str | None, per_class: int | None) -> Images:
    names = [f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")]
    if root is None:
        from torchvision import datasets as published

        dataset = getattr(published, source)
        sums = dict(dataset.resources)
        files = [
            downloads.fetch(
                _DOWNLOADS / kind,
                f"{name}.gz",
                [f"{mirror}{name}.gz" for mirror in dataset.mirrors],
                sums[f"{name}.gz"],
            )
            for name in names
        ]
    else:
        folder = _folder(root)
        if (folder / source / "raw").is_dir():  # where torchvision puts them
            folder = folder / source / "raw"
        files = [_plain_or_gz(folder / name) for name in names]

    def part(images_file: Path, labels_file: Path, which: str) -> tuple[np.ndarray, np.ndarray]:
        images = image_files.read_idx(images_file, 3)
        labels = image_files.read_idx(labels_file, 1).astype(np.int64)
        if len(images) != len(labels):
            raise InputError(f"{labels_file}: {len(labels)} labels; allowed: {len(images)}, one for each image")
        chosen = _chosen(labels, classes, per_class, labels_file, which)
        return images[chosen][..., None], labels[chosen]

    train, test = part(*files[:2], "training"), part(*files[2:], "test")
    if train[0].shape[1:] != test[0].shape[1:]:
        sizes = [" x ".join(map(str, images.shape[1:3])) for images, _ in (train, test)]
        raise InputError(f"{files[2]}: images of {sizes[1]}; allowed: {sizes[0]}, as in {files[0].name}")
    return Images(*train, *test, classes)


def _plain_or_gz(path: Path) -> Path:
    for candidate in (path, path.with_name(f"{path.name}.gz")):
        if candidate.is_file():
            return candidate
    raise InputError(f"{path}: missing; allowed: that file, or {path.name}.gz")


# A class's members as indices, and a function that reads images by their indices.
_Members = tuple[dict[str, np.ndarray], Callable[[np.ndarray], np.ndarray]]


def _mini_imagenet_pickles(paths: list[Path], size: int) -> _Members:
    members: dict[str, np.ndarray] = {}
    arrays: list[np.ndarray] = []
    offset = 0
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: missing; allowed: all three of {', '.join(path.name for path in paths)}")
        with open(path, "rb") as file:
            content = _dictionary(safe_pickle.load(file, path), path)
        images, class_dict = content.get("image_data"), content.get("class_dict")
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise InputError(f"{path}: no image_data of the right form; allowed: an N x H x W x 3 array of bytes")
        if arrays and images.shape[1:] != arrays[0].shape[1:]:
            sizes = [" x ".join(map(str, array.shape[1:])) for array in (images, arrays[0])]
            raise InputError(f"{path}: images of {sizes[0]}; allowed: {sizes[1]}, as in {paths[0].name}")
        for name, indices in _dictionary(class_dict, path).items():
            indices = _integers(indices)
            if indices is None or (indices < 0).any() or (indices >= len(images)).any():
                raise InputError(
                    f"{path}: class {name!r} of class_dict; allowed: a list of indices below {len(images)}"
                )
            _put(members, str(name), indices + offset, path)
        arrays.append(images)
        offset += len(images)
    images = np.concatenate(arrays)
    return members, lambda indices: image_files.resized(images[indices], size, paths[0].parent)


def _mini_imagenet_tables(paths: list[Path], folder: Path, size: int) -> _Members:
    members: dict[str, np.ndarray] = {}
    files: list[Path] = []
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: missing; allowed: all three of {', '.join(path.name for path in paths)}")
        of_class: dict[str, list[int]] = {}
        for filename, label in _rows(path):
            of_class.setdefault(label, []).append(len(files))
            files.append(folder / filename)
        for name, indices in of_class.items():
            _put(members, name, np.array(indices), path)
    return members, lambda indices: image_files.read_photographs([files[i] for i in indices], size, folder)


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if not row.get("filename") or not row.get("label"):
                    raise InputError(f"{path}: a row without filename or label; allowed: columns filename,label")
                yield row["filename"], row["label"]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: no table: {error}; allowed: CSV with columns filename,label") from error


def _put(members: dict[str, np.ndarray], name: str, indices: np.ndarray, path: Path) -> None:
    if name in members:
        raise InputError(f"{path}: class {name!r} is in another part too; allowed: each class in one of the three")
    members[name] = indices


def _class_folders(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(names) < 2:
        raise InputError(f"{folder}: {len(names)} class folders; allowed: two or more")
    return names


def _photographs(
    folder: Path, classes: list[str], size: int, per_class: int | None, part: str
) -> tuple[np.ndarray, np.ndarray]:
    paths, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(
            path for path in (folder / name).rglob("*") if _is_image(path.relative_to(folder)) and path.is_file()
        )
        if not found:
            raise InputError(f"{folder / name}: no image; allowed: one or more, {', '.join(image_files.SUFFIXES)}")
        paths += found
        labels += [label] * len(found)
    labels = np.array(labels)
    chosen = _chosen(labels, classes, per_class, folder, part)
    return image_files.read_photographs([paths[index] for index in chosen], size, folder), labels[chosen]


def _is_image(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.suffix.lower() in image_files.SUFFIXES
