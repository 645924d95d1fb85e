"""Fashion-MNIST."""

from __future__ import annotations

from pathlib import Path

from equal_losses.datasets._images import Images
from equal_losses.datasets._mnist import Mnist

CLASSES = 10
SIZE = (60_000, 10_000, 28, 28, 1)

_SOURCE = Mnist(
    kind="fashion_mnist",
    published="FashionMNIST",
    classes=(
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
    ),
)


def fashion_mnist(*, root: str | None = None, per_class: int | None = None) -> Images:
    """Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 60,000 training and 10,000 test images, 28 x 28, grey, 10 classes.

    Args:
        root: as for `mnist`; Debian's package dataset-fashion-mnist has it in `/usr/share/datasets/fashion-mnist`.
        per_class: images of each class; None takes all.

    Raises:
        InputError: where a file is missing, truncated or not what it should be, or the download fails.
    """
    return _SOURCE.read(root, per_class)


def files(root: str | None) -> list[Path]:
    """The four IDX files; None looks where downloads are."""
    return _SOURCE.files(root)
