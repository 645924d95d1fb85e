from equal_losses.datasets._cifar import Cifar
from equal_losses.datasets._images import Images

CLASSES = 100
SIZE = (50_000, 10_000, 32, 32, 3)

_SOURCE = Cifar(
    classes=CLASSES,
    archive="cifar-100-python.tar.gz",
    folder="cifar-100-python",
    train=("train",),
    test="test",
    meta="meta",
    names_key="fine_label_names",
    labels_key="fine_labels",
)
files = _SOURCE.files


def cifar100(*, root: str | None = None, per_class: int | None = None, test_per_class: int | None = None) -> Images:
    """CIFAR100 (Krizhevsky 2009): 50,000 training and 10,000 test images, 32 x 32, RGB, 100 (fine) classes.

    `root` has `cifar-100-python/`, or its files, or `cifar-100-python.tar.gz`.
    """
    return _SOURCE.read(root, per_class, test_per_class)
