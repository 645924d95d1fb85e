from functools import partial

from equal_losses.datasets import _mnist
from equal_losses.datasets._images import Images

CLASSES = 10
SIZE = (60_000, 10_000, 28, 28, 1)

_NAMES = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"

files = partial(_mnist.files, "FashionMNIST")


def fashion_mnist(
    *, root: str | None = None, per_class: int | None = None, test_per_class: int | None = None
) -> Images:
    """Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 60,000 training and 10,000 test images, 28 x 28, grey, 10 classes.

    `root` as for `mnist`; Debian's package dataset-fashion-mnist has it in `/usr/share/datasets/fashion-mnist`.
    """
    return _mnist.read("fashion_mnist", "FashionMNIST", _NAMES.split(", "), root, per_class, test_per_class)
