"""Sources of labelled images.

A dataset is a function that returns `Images`; its name is the `kind` of the configuration and its keywords are keys
there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# K of the datasets that have a fixed number of classes, known here before anything is read.
CLASSES = {"digits": 10}


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
