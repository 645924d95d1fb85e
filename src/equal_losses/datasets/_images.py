"""What all sources share."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equal_losses.running.errors import InputError


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


def folder_at(root: str | None) -> Path:
    """The folder that `root` names, or InputError."""
    if root is None:
        raise InputError("root: null; expected the folder that has the files")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise InputError(f"root: {root!r} is no folder (from {Path.cwd()}); expected the folder that has the files")
    return folder


def chosen(labels: np.ndarray, classes: list[str], count: int | None, where: object, part: str) -> np.ndarray:
    """Indices of the images to take, ascending: all, or a balanced subset (see `equal_losses.datasets`).

    Args:
        labels: N, whole numbers.
        count: of each class; None takes all.
        where: what the messages call the source.
        part: "training" or "test", which has to have so many images of each class.

    Raises:
        InputError: for a label that is none of 0..K-1, a class without images, or too large a subset.
    """
    wrong = labels[(labels < 0) | (labels >= len(classes))]
    if wrong.size:
        raise InputError(f"{where}: label {wrong[0]} in the {part} part; allowed: 0..{len(classes) - 1}")
    counts = np.bincount(labels, minlength=len(classes))
    fewest, smallest = int(counts.min()), classes[int(np.argmin(counts))]
    if fewest == 0:
        raise InputError(f"{where}: class {smallest!r} has no image in the {part} part; expected one or more")
    if count is None:
        return np.arange(len(labels))
    key = "per_class" if part == "training" else "test_per_class"
    if count < 1:
        raise InputError(f"{key}: {count}; allowed: a whole number >= 1 or null")
    if count > fewest:
        raise InputError(f"{key}: {count}; class {smallest!r} of {where} has {fewest}; allowed: up to {fewest}")
    of_class = [np.flatnonzero(labels == label) for label in range(len(classes))]
    return np.sort(np.concatenate([indices[np.arange(count) * len(indices) // count] for indices in of_class]))
