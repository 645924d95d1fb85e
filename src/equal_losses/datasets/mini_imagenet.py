import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from equal_losses.datasets import _pickles
from equal_losses.datasets._images import Images, chosen, folder_at
from equal_losses.running.errors import InputError

CLASSES = 100
SIZE = (50_000, 10_000, 84, 84, 3)

_PICKLES = tuple(f"mini-imagenet-cache-{part}.pkl" for part in ("train", "val", "test"))
_TABLES = tuple(f"{part}.csv" for part in ("train", "val", "test"))


def mini_imagenet(
    *, root: str, size: int = 84, per_class: int | None = None, test_per_class: int | None = None
) -> Images:
    """miniImageNet (Vinyals et al. 2016, in the selection of Ravi and Larochelle 2017): 100 classes, RGB.

    Its 64 training, 16 validation and 20 test classes are a few-shot learner's; here they are one set of 100 classes,
    sorted by name. The first 500 images of each class, in the order of the files, are the training part and the last
    100 are the test part; of a class that has n images and not 600, the last n // 6 are.

    Args:
        root: folder that has `mini-imagenet-cache-train.pkl`, `-val.pkl` and `-test.pkl`, each a dictionary of
            `image_data` (N x H x W x 3, uint8) and `class_dict` (class name to indices); or the split's `train.csv`,
            `val.csv` and `test.csv` (columns filename, label) beside a folder `images`. Where it has both, the pickles.
        size: pixels; images of another size are resized as in `image_folder`.
    """
    from equal_losses.datasets._image_files import read_images

    folder = folder_at(root)
    images, members = _found(folder)
    classes = sorted(members)
    if len(classes) != CLASSES:
        raise InputError(f"{folder}: {len(classes)} classes; expected the {CLASSES} of miniImageNet")
    counts = [len(members[name]) for name in classes]
    if min(counts) < 6:
        fewest = classes[counts.index(min(counts))]
        raise InputError(
            f"{folder}: class {fewest!r} has {min(counts)} images; expected 6 or more (600 in miniImageNet)"
        )
    if set(counts) != {600}:
        print(f"{folder}: {min(counts)} to {max(counts)} images per class, not 600; the last sixth are the test part")

    def part(indices: Sequence[np.ndarray], which: str, per_class: int | None) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(CLASSES), [len(of_class) for of_class in indices])
        taken = chosen(labels, classes, per_class, folder, which)
        return read_images([images[i] for i in np.concatenate(indices)[taken]], size, folder), labels[taken]

    parts = [np.split(members[name], [count - count // 6]) for name, count in zip(classes, counts, strict=True)]
    train, test = zip(*parts, strict=True)
    return Images(*part(train, "training", per_class), *part(test, "test", test_per_class), classes)


def files(root: str) -> list[Path]:
    """The three pickles; where there is none of them, the three tables and all files below `images`."""
    folder = Path(root).expanduser()
    found = [path for name in _PICKLES if (path := folder / name).is_file()]
    return sorted(found or [path for name in (*_TABLES, "images/**/*") for path in folder.glob(name) if path.is_file()])


def _found(folder: Path) -> tuple[list[np.ndarray | Path], dict[str, np.ndarray]]:
    """The images, as pixels or paths, and the indices of each class's images."""
    pickled = any((folder / name).is_file() for name in _PICKLES)
    images: list[np.ndarray | Path] = []
    members: dict[str, np.ndarray] = {}
    for path in (folder / name for name in (_PICKLES if pickled else _TABLES)):
        if not path.is_file():
            expected = f"{', '.join(_PICKLES)}, or {', '.join(_TABLES)} and images"
            raise InputError(f"{path}: missing; expected {expected}")
        part_images, part_members = (_read_pickle if pickled else _read_table)(path)
        for name, indices in part_members.items():
            if name in members:
                raise InputError(f"{path}: class {name!r} is in another part too; expected each class in one part")
            members[name] = indices + len(images)
        images += part_images
    return images, members


def _read_pickle(path: Path) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    content = _pickles.load(path.read_bytes(), path)
    images, class_dict = content.get("image_data"), content.get("class_dict")
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise InputError(f"{path}: no image_data of the right form; expected an N x H x W x 3 array of bytes")
    if not isinstance(class_dict, dict):
        raise InputError(f"{path}: no class_dict of the right form; expected a dictionary")
    members = {}
    for name, values in class_dict.items():
        indices = _pickles.integers(values)
        if indices is None or (indices < 0).any() or (indices >= len(images)).any():
            raise InputError(f"{path}: class {name!r} of class_dict; expected a list of indices below {len(images)}")
        members[str(name)] = indices
    return list(images), members


def _read_table(path: Path) -> tuple[list[Path], dict[str, np.ndarray]]:
    images, labels = [], []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if not row.get("filename") or not row.get("label"):
                    raise InputError(f"{path}: a row without filename or label; expected columns filename,label")
                images.append(path.parent / "images" / row["filename"])
                labels.append(row["label"])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: no table: {error}; expected CSV with columns filename,label") from error
    of_rows = np.array(labels, dtype=object)
    return images, {name: np.flatnonzero(of_rows == name) for name in dict.fromkeys(labels)}
