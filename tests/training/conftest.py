"""Some handwritten digits, prepared and sealed."""

import pytest

from equal_losses.datasets._images import Images
from equal_losses.datasets.digits import digits as all_digits
from equal_losses.datasets.prepared import PreparedDataset, prepare
from equal_losses.running.records import digest, seal

from .jobs import DATA, Data

COUNT = 600


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Data:
    """The files of `digits`."""
    images = all_digits()
    few = Images(images.train_images[:COUNT], images.train_labels[:COUNT], None, None, images.classes)
    data = Data(tmp_path_factory.mktemp("digits") / digest(DATA))
    prepare(data.folder, few, split_seed=0, stratified=True, validation_fraction=0.4, test_fraction=1 / 3)
    seal(data.files, DATA)
    return data


@pytest.fixture(scope="session")
def digits(data) -> PreparedDataset:
    """240 training, 160 validation and 200 test images."""
    return PreparedDataset.open(data.files[0])
