from __future__ import annotations

from equal_losses.datasets._images import Images
from equal_losses.datasets._mnist import Mnist

CLASSES = 10
SIZE = (60_000, 10_000, 28, 28, 1)

_NAMES = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"
_SOURCE = Mnist(kind="fashion_mnist", published="FashionMNIST", classes=_NAMES.split(", "))
files = _SOURCE.files


def fashion_mnist(*, root: str | None = None, per_class: int | None = None) -> Images:
    """Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 60,000 training and 10,000 test images, 28 x 28, grey, 10 classes.

    `root` as for `mnist`; Debian's package dataset-fashion-mnist has it in `/usr/share/datasets/fashion-mnist`.
    """
    return _SOURCE.read(root, per_class)
