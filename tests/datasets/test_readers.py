"""CIFAR, MNIST and miniImageNet: how their files are read, and what is said when one is damaged."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest

from equal_losses.datasets.cifar10 import cifar10
from equal_losses.datasets.cifar100 import cifar100
from equal_losses.datasets.fashion_mnist import fashion_mnist
from equal_losses.datasets.mini_imagenet import mini_imagenet
from equal_losses.datasets.mnist import mnist
from equal_losses.datasets.prepared import pixel_statistics

from . import tiny_datasets as tiny
from .errors import fails

FASHION = Path("/usr/share/datasets/fashion-mnist")
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def rewrite(path: Path, **change) -> None:
    """Change keys of a pickled dictionary."""
    path.write_bytes(tiny.pickled(pickle.loads(path.read_bytes(), encoding="latin1") | change, 4))


@pytest.mark.parametrize("read", [cifar10, cifar100, mnist, fashion_mnist, mini_imagenet])
def test_an_empty_root_is_named_and_no_reason_to_download(tmp_path, monkeypatch, read):
    monkeypatch.chdir(tmp_path)
    with fails(f"{tmp_path}/"):
        read(root=str(tmp_path))
    assert not list(tmp_path.iterdir())


# CIFAR


def test_cifar10_has_its_batches_in_order_and_its_colours_in_the_last_axis(tmp_path):
    tiny.write_cifar10(tmp_path, per_class=2)
    images = cifar10(root=str(tmp_path))
    # Batch 2 begins with image 2 of class 0; red, green and blue are p, p + 1 and p + 2.
    assert images.train_images[20, 5, 7].tolist() == [20, 21, 22]
    assert images.test_images[0, 31, 31].tolist() == [100, 101, 102]
    assert images.classes[:3] == ["airplane", "automobile", "bird"]


def test_a_cifar_image_has_its_rows_and_columns_in_place(tmp_path):
    rows = np.tile(np.arange(3072) // 32 % 256, (10, 1)).astype(np.uint8)  # of red, then of green, then of blue
    rewrite(tiny.write_cifar10(tmp_path) / "test_batch", data=rows)
    image = cifar10(root=str(tmp_path)).test_images[0]
    np.testing.assert_array_equal(image[:, 0], np.arange(96).reshape(3, 32).T)
    assert (image == image[:, :1]).all()


def test_root_may_be_cifar_s_own_folder(tmp_path):
    folder = tiny.write_cifar10(tmp_path)
    np.testing.assert_array_equal(cifar10(root=str(folder)).train_images, cifar10(root=str(tmp_path)).train_images)


def test_an_archive_is_not_unpacked_to_disk(tmp_path):
    archive = tiny.write_archive(tiny.write_cifar10(tmp_path / "plain"), tmp_path / "cifar-10-python.tar.gz")
    cifar10(root=str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [archive.name, "plain"]


def test_a_file_that_the_archive_lacks_is_named(tmp_path):
    folder = tiny.write_cifar10(tmp_path / "plain")
    (folder / "test_batch").unlink()
    archive = tiny.write_archive(folder, tmp_path / "cifar-10-python.tar.gz")
    with fails(f"{archive / 'test_batch'}: missing; expected all files of CIFAR10"):
        cifar10(root=str(tmp_path))


def test_an_archive_is_checked_to_its_end(tmp_path):
    archive = tiny.write_archive(tiny.write_cifar10(tmp_path / "plain"), tmp_path / "cifar-10-python.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-4] + b"\0\0\0\0")
    with fails(f"{archive}: truncated or no .tar.gz archive: "):
        cifar10(root=str(tmp_path))


def test_a_malicious_pickle_in_an_archive_does_not_run(tmp_path):
    folder = tiny.write_cifar10(tmp_path / "plain")
    (folder / "test_batch").write_bytes(tiny.malicious(tmp_path / "ran"))
    archive = tiny.write_archive(folder, tmp_path / "cifar-10-python.tar.gz")
    with fails(f"{archive / 'test_batch'}: refused, because it asks for "):
        cifar10(root=str(tmp_path))
    assert not (tmp_path / "ran").exists()


NO_DATA = "/test_batch: no data of the right form; expected an N x 3072 array of bytes"
NO_LABELS = "/test_batch: no labels of the right form; expected 10 whole numbers"
NO_NAMES = "/batches.meta: no label_names of the right form; expected 10 names"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("test_batch", {"data": np.zeros((10, 3071), np.uint8)}, NO_DATA),
        ("test_batch", {"data": np.zeros((10, 3072), np.int16)}, NO_DATA),
        ("test_batch", {"data": [0] * 10}, NO_DATA),
        ("test_batch", {"labels": [0] * 9}, NO_LABELS),
        ("test_batch", {"labels": ["0"] * 10}, NO_LABELS),
        ("test_batch", {"labels": [0.5] * 10}, NO_LABELS),
        ("test_batch", {"labels": None}, NO_LABELS),
        ("test_batch", {"labels": [*range(9), 10]}, ": label 10 in the test part; allowed: 0..9"),
        ("test_batch", {"labels": [*range(9), -1]}, ": label -1 in the test part; allowed: 0..9"),
        ("test_batch", {"labels": [*range(9), 0]}, ": class 'truck' has no image in the test part; expected one or"),
        ("batches.meta", {"label_names": None}, NO_NAMES),
        ("batches.meta", {"label_names": ["a"]}, NO_NAMES),
        ("batches.meta", {"label_names": [1] * 10}, NO_NAMES),
        ("batches.meta", {"label_names": "x" * 10}, NO_NAMES),
    ],
)
def test_a_cifar_file_of_another_form_is_named(tmp_path, name, change, message):
    folder = tiny.write_cifar10(tmp_path)
    rewrite(folder / name, **change)
    with fails(f"{folder}{message}"):
        cifar10(root=str(tmp_path))


# MNIST


def test_mnist_has_its_images_in_order(tmp_path):
    tiny.write_mnist(tmp_path)
    images = mnist(root=str(tmp_path))
    assert images.train_images[:, 9, 9, 0].tolist() == list(range(30))
    assert images.test_images[:, 9, 9, 0].tolist() == list(range(20))


def test_the_files_of_another_dataset_by_torchvision_are_not_taken(tmp_path):
    tiny.write_mnist(tmp_path / "FashionMNIST" / "raw")
    with fails(f"{tmp_path / IMAGES}.gz: missing; expected an IDX file, with or without .gz"):
        mnist(root=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (IMAGES, lambda data: data[:-1], "23519 bytes of data; expected 23520 (30 x 28 x 28), as its head says"),
        (IMAGES, lambda data: data + b"0", "23521 bytes of data; expected 23520"),
        (IMAGES, lambda data: data[:10], "truncated in its head; expected the whole file"),
        (IMAGES, lambda data: b"", "begins with ''; expected '00000803', an IDX file of bytes"),
        (IMAGES, lambda data: b"<html>no", "begins with '3c68746d'; expected '00000803'"),
        (IMAGES, lambda data: b"\0\0\x0d\3" + data[4:], "begins with '00000d03'"),
        (IMAGES, lambda data: b"\0\0\x08\3" + b"\xff" * 12, "0 bytes of data; expected 792281624"),
        (LABELS, lambda data: data[:-1], "29 bytes of data; expected 30 (30), as its head says"),
        (LABELS, lambda data: tiny.idx(np.zeros((30, 1, 1))), "begins with '00000803'; expected '00000801'"),
        (LABELS, lambda data: tiny.idx(np.zeros(29)), "29 labels; expected 30, one for each image"),
        (LABELS, lambda data: tiny.idx(np.full(30, 10)), "label 10 in the training part; allowed: 0..9"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_damaged_idx_file_is_named(tmp_path, name, change, message, suffix):
    tiny.write_mnist(tmp_path)
    path = tmp_path / f"{name}{suffix}"
    content = change((tmp_path / name).read_bytes())
    (tmp_path / name).unlink()
    path.write_bytes(gzip.compress(content) if suffix else content)
    with fails(f"{path}: {message}"):
        mnist(root=str(tmp_path))


def test_a_test_part_of_another_size_is_named(tmp_path):
    tiny.write_mnist(tmp_path)
    (tmp_path / IMAGES).write_bytes(tiny.idx(np.zeros((30, 14, 14))))
    with fails(f"t10k-images-idx3-ubyte: images of 28 x 28; expected 14 x 14, as in {IMAGES}"):
        mnist(root=str(tmp_path))


def test_a_gz_file_is_checked_to_its_end(tmp_path):
    path = tiny.write_mnist(tmp_path, compressed=True) / f"{IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")
    with fails(f"{path}: truncated or not gzip: "):
        mnist(root=str(tmp_path))


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist():
    images = fashion_mnist(root=str(FASHION))
    assert images.train_images.shape == (60000, 28, 28, 1)
    assert np.bincount(images.train_labels).tolist() == [6000] * 10
    assert np.bincount(images.test_labels).tolist() == [1000] * 10
    mean, std = pixel_statistics(images.train_images)
    assert (round(mean[0], 4), round(std[0], 4)) == (0.2860, 0.3530)
    # Its authors' first example is an ankle boot.
    assert images.classes[images.train_labels[0]] == "Ankle boot"


# miniImageNet

both_forms = pytest.mark.parametrize("write", [tiny.write_mini_imagenet_pickles, tiny.write_mini_imagenet_tables])


@both_forms
def test_the_last_sixth_of_each_class_is_the_test_part(tmp_path, capsys, write):
    write(tmp_path, per_class=7, size=2)
    images = mini_imagenet(root=str(tmp_path), size=2)
    np.testing.assert_array_equal(images.train_images[:, 0, 0, 1], np.tile(np.arange(6), 100))
    assert (images.test_images[:, 0, 0, 1] == 6).all()
    assert images.classes == [f"n{label:08}" for label in range(100)]
    assert capsys.readouterr().out.endswith(": 7 to 7 images per class, not 600; the last sixth are the test part\n")


def test_mini_imagenet_of_600_has_500_training_and_100_test_images_of_each_class(tmp_path, capsys):
    tiny.write_mini_imagenet_pickles(tmp_path, per_class=600, size=1)
    images = mini_imagenet(root=str(tmp_path), size=1)
    assert np.bincount(images.train_labels).tolist() == [500] * 100
    assert np.bincount(images.test_labels).tolist() == [100] * 100
    assert not capsys.readouterr().out


def test_the_images_of_a_class_are_in_the_order_of_class_dict(tmp_path):
    path = tiny.write_mini_imagenet_pickles(tmp_path, size=2) / "mini-imagenet-cache-train.pkl"
    class_dict = pickle.loads(path.read_bytes(), encoding="latin1")["class_dict"]
    rewrite(path, class_dict=class_dict | {"n00000000": np.array([5, 4, 3, 2, 1, 0])})
    images = mini_imagenet(root=str(tmp_path), size=2)
    assert images.train_images[:5, 0, 0, 1].tolist() == [5, 4, 3, 2, 1]
    assert images.test_images[0, 0, 0, 1] == 0


def test_the_pickles_come_before_the_tables(tmp_path):
    tiny.write_mini_imagenet_tables(tmp_path, size=2)
    tiny.write_mini_imagenet_pickles(tmp_path, per_class=12, size=2)
    assert len(mini_imagenet(root=str(tmp_path), size=2).train_labels) == 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_data": None}, "no image_data of the right form; expected an N x H x W x 3 array of bytes"),
        ({"image_data": np.zeros((96, 2, 2, 3))}, "no image_data of the right form"),
        ({"image_data": np.zeros((96, 2, 2, 1), np.uint8)}, "no image_data of the right form"),
        ({"class_dict": None}, "no class_dict of the right form; expected a dictionary"),
        ({"class_dict": {"a": [0, 96]}}, "class 'a' of class_dict; expected a list of indices below 96"),
        ({"class_dict": {"a": [-1]}}, "class 'a' of class_dict"),
        ({"class_dict": {"a": "0"}}, "class 'a' of class_dict"),
        ({"class_dict": {"a": [0.0]}}, "class 'a' of class_dict"),
        ({"class_dict": {"n00000000": [0]}}, "class 'n00000000' is in another part too; expected each class in one"),
    ],
)
def test_a_mini_imagenet_pickle_of_another_form_is_named(tmp_path, change, message):
    path = tiny.write_mini_imagenet_pickles(tmp_path, size=2) / "mini-imagenet-cache-val.pkl"
    rewrite(path, **change)
    with fails(f"{path}: {message}"):
        mini_imagenet(root=str(tmp_path), size=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": 84 classes; expected the 100 of miniImageNet"),
        (b"filename,label\na.png,a\n", ": 85 classes; expected the 100 of miniImageNet"),
        (b"file,class\na.png,a\n", "/val.csv: a row without filename or label; expected columns filename,label"),
        (b"filename,label\na.png\n", "/val.csv: a row without filename or label"),
        (b"\xff\xfe\0\0", "/val.csv: no table: "),
        (b"filename,label\na.png,n00000000\n", "/val.csv: class 'n00000000' is in another part too"),
    ],
)
def test_a_table_of_another_form_is_named(tmp_path, content, message):
    tiny.write_mini_imagenet_tables(tmp_path, size=2)
    (tmp_path / "val.csv").write_bytes(content)
    with fails(f"{tmp_path}{message}"):
        mini_imagenet(root=str(tmp_path), size=2)


def test_too_few_images_of_a_class_are_named(tmp_path):
    tiny.write_mini_imagenet_pickles(tmp_path, per_class=5, size=2)
    with fails(f"{tmp_path}: class 'n00000000' has 5 images; expected 6 or more (600 in miniImageNet)"):
        mini_imagenet(root=str(tmp_path), size=2)


def test_an_image_that_a_table_names_and_the_folder_lacks_is_named(tmp_path):
    path = tiny.write_mini_imagenet_tables(tmp_path, size=2) / "images" / "n0000000300000002.png"
    path.unlink()
    with fails(f"{path}: missing; expected an image file"):
        mini_imagenet(root=str(tmp_path), size=2)
