from functools import partial

from equal_losses.datasets import _mnist
from equal_losses.datasets._images import Images

CLASSES = 10
SIZE = (60_000, 10_000, 28, 28, 1)

files = partial(_mnist.files, "MNIST")


def mnist(*, root: str | None = None, per_class: int | None = None, test_per_class: int | None = None) -> Images:
    """MNIST (LeCun, Cortes, Burges 1998): 60,000 training and 10,000 test images, 28 x 28, grey, 10 classes.

    `root` has the four IDX files (`train-images-idx3-ubyte`, ...), plain or `.gz`.
    """
    return _mnist.read("mnist", "MNIST", list("0123456789"), root, per_class, test_per_class)
