"""Some handwritten digits, prepared and sealed, and trainings on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from equal_losses.datasets._images import Images
from equal_losses.datasets.digits import digits as all_digits
from equal_losses.datasets.prepared import PreparedDataset, prepare
from equal_losses.running.records import digest, seal
from equal_losses.training import loop
from equal_losses.training.batches import Normalization

from .jobs import DATA, MEMBERS, SMALL, Data, Training
from .runs import run

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


@pytest.fixture
def float64(monkeypatch):
    """Networks and images of twice the precision, where only what computes something else differs visibly."""
    build, normalize = loop.build_network, Normalization.__call__
    monkeypatch.setattr(loop, "build_network", lambda *arguments: build(*arguments).double())
    monkeypatch.setattr(Normalization, "__call__", lambda *arguments: normalize(*arguments).double())


@pytest.fixture
def new(tmp_path, data) -> Callable[..., Training]:
    """Makes a training of a run: three epochs with snapshots at 0, 2 and 3, unless it is told others."""

    def training(
        epochs: int = 3, snapshots: tuple[int, ...] = (0, 2, 3), place: Path = tmp_path, data: Data = data, **options
    ) -> Training:
        return Training(place, data, "train", {"run": run(epochs=epochs, **SMALL)}, list(snapshots), **options)

    return training


@pytest.fixture
def stack(tmp_path, data) -> Training:
    """A training of two runs as one, over three epochs."""
    return Training(tmp_path, data, "train_stack", {"members": MEMBERS}, [0, 2, 3])


@pytest.fixture(scope="session")
def whole(tmp_path_factory, data) -> Training:
    """A run that nothing disturbed."""
    training = Training(tmp_path_factory.mktemp("whole"), data, "train", {"run": run(epochs=3, **SMALL)}, [0, 2, 3])
    training.finish()
    return training


@pytest.fixture(scope="session")
def whole_stack(tmp_path_factory, data) -> Training:
    """Two runs that nothing disturbed."""
    training = Training(tmp_path_factory.mktemp("whole"), data, "train_stack", {"members": MEMBERS}, [0, 2, 3])
    training.finish()
    return training
