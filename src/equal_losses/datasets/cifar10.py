from equal_losses.datasets._cifar import Cifar
from equal_losses.datasets._images import Images

CLASSES = 10
SIZE = (50_000, 10_000, 32, 32, 3)

_SOURCE = Cifar(
    classes=CLASSES,
    archive="cifar-10-python.tar.gz",
    folder="cifar-10-batches-py",
    train=("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"),
    test="test_batch",
    meta="batches.meta",
    names_key="label_names",
    labels_key="labels",
)
files = _SOURCE.files


def cifar10(*, root: str | None = None, per_class: int | None = None, test_per_class: int | None = None) -> Images:
    """CIFAR10 (Krizhevsky 2009): 50,000 training and 10,000 test images, 32 x 32, RGB, 10 classes.

    `root` has `cifar-10-batches-py/`, or its files, or `cifar-10-python.tar.gz`.
    """
    return _SOURCE.read(root, per_class, test_per_class)
