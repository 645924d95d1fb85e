"""Datasets: tiny files in the formats of the real ones, read by the loaders that read the real ones."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import re
import shutil
import threading
from contextlib import suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets as published
from neural_collapse import configuration, datasets, downloads, image_files, preparation, safe_pickle
from neural_collapse.errors import InputError
from neural_collapse.provenance import Codebase
from PIL import Image

from . import tiny_datasets as tiny

FASHION = Path("/usr/share/datasets/fashion-mnist")
PROTOCOLS = ["python 2", 2, 4, 5]


def fails(message: str):
    """Expect an InputError of one line that has `message`, word for word."""
    return pytest.raises(InputError, match=rf"^[^\n]*{re.escape(message)}[^\n]*$")


# The formats, whole.


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cifar10_is_read_from_pickles_of_any_python(tmp_path, protocol):
    tiny.write_cifar10(tmp_path, per_class=2, protocol=protocol)
    images = datasets.cifar10(root=str(tmp_path))
    assert images.train_images.shape == (100, 32, 32, 3)
    assert images.test_images.shape == (20, 32, 32, 3)
    assert images.train_images.dtype == np.uint8
    assert images.train_labels.dtype == np.int64
    assert images.classes[:3] == ["airplane", "automobile", "bird"]
    np.testing.assert_array_equal(images.train_images[:, 0, 0, 0], images.train_labels)
    # Batch 2 begins with image 2 of class 0; red, green and blue are p, p + 1 and p + 2.
    assert images.train_images[20, 5, 7].tolist() == [20, 21, 22]
    assert images.test_images[0, 31, 31].tolist() == [100, 101, 102]


def test_a_cifar_image_has_its_rows_and_columns_in_place(tmp_path):
    folder = tiny.write_cifar10(tmp_path)
    batch = pickle.loads((folder / "test_batch").read_bytes(), encoding="latin1")
    batch["data"][0] = np.arange(3072) // 32 % 256  # rows of red, then of green, then of blue
    (folder / "test_batch").write_bytes(tiny.pickled(batch))
    image = datasets.cifar10(root=str(tmp_path)).test_images[0]
    np.testing.assert_array_equal(image[:, 0], np.arange(96).reshape(3, 32).T)
    assert (image == image[:, :1]).all()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cifar100_has_its_fine_labels(tmp_path, protocol):
    tiny.write_cifar100(tmp_path, protocol=protocol)
    images = datasets.cifar100(root=str(tmp_path))
    assert images.train_images.shape == (200, 32, 32, 3)
    assert images.classes[99] == "fine 99"
    np.testing.assert_array_equal(images.train_labels, np.tile(np.arange(100), 2))
    np.testing.assert_array_equal(images.train_images[:, 0, 0, 0], images.train_labels)


def test_cifar_is_found_in_its_own_folder_and_in_its_archive(tmp_path):
    folder = tiny.write_cifar10(tmp_path / "plain")
    packed = tmp_path / "packed"
    packed.mkdir()
    tiny.write_archive(folder, packed / "cifar-10-python.tar.gz")
    expected = datasets.cifar10(root=str(tmp_path / "plain")).train_images
    np.testing.assert_array_equal(datasets.cifar10(root=str(folder)).train_images, expected)
    np.testing.assert_array_equal(datasets.cifar10(root=str(packed)).train_images, expected)
    assert [path.name for path in packed.iterdir()] == ["cifar-10-python.tar.gz"]


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("kind", ["mnist", "fashion_mnist"])
def test_idx_files_are_read_plain_and_compressed(tmp_path, kind, compressed):
    tiny.write_mnist(tmp_path, compressed=compressed)
    images = getattr(datasets, kind)(root=str(tmp_path))
    assert images.train_images.shape == (30, 28, 28, 1)
    assert images.test_images.shape == (20, 28, 28, 1)
    assert images.train_images.dtype == np.uint8
    np.testing.assert_array_equal(images.train_labels, np.tile(np.arange(10), 3))
    np.testing.assert_array_equal(images.train_images[:, 0, 0, 0], images.train_labels)
    assert images.train_images[10:20, 9, 9, 0].tolist() == list(range(10, 20))
    assert len(images.classes) == 10


def test_idx_files_are_found_where_torchvision_puts_them(tmp_path):
    tiny.write_mnist(tmp_path / "FashionMNIST" / "raw")
    assert len(datasets.fashion_mnist(root=str(tmp_path)).train_labels) == 30
    with fails("train-images-idx3-ubyte: missing"):
        datasets.mnist(root=str(tmp_path))


def mini_imagenet_is_right(images: datasets.Images, per_class: int, size: int) -> None:
    test = per_class // 6
    assert images.train_images.shape == (100 * (per_class - test), size, size, 3)
    assert images.test_images.shape == (100 * test, size, size, 3)
    assert images.classes == [f"n{label:08}" for label in range(100)]
    np.testing.assert_array_equal(images.train_images[:, 3, 4, 0], images.train_labels)
    np.testing.assert_array_equal(images.test_images[:, 3, 4, 0], images.test_labels)
    np.testing.assert_array_equal(images.train_images[:, 0, 0, 1], np.tile(np.arange(per_class - test), 100))
    np.testing.assert_array_equal(images.test_images[:, 0, 0, 1], np.tile(np.arange(per_class - test, per_class), 100))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_mini_imagenet_is_read_from_the_three_pickles(tmp_path, protocol, capsys):
    tiny.write_mini_imagenet_pickles(tmp_path, per_class=6, protocol=protocol)
    mini_imagenet_is_right(datasets.mini_imagenet(root=str(tmp_path)), 6, 84)
    assert capsys.readouterr().out == f"{tmp_path}: 6 to 6 images a class, not 600; the last sixth are the test part\n"


def test_mini_imagenet_of_600_has_500_training_and_100_test_images_a_class(tmp_path, capsys):
    tiny.write_mini_imagenet_pickles(tmp_path, per_class=600, size=1)
    images = datasets.mini_imagenet(root=str(tmp_path), size=1)
    assert np.bincount(images.train_labels).tolist() == [500] * 100
    assert np.bincount(images.test_labels).tolist() == [100] * 100
    assert not capsys.readouterr().out


def test_mini_imagenet_is_read_from_the_tables_and_the_images(tmp_path):
    tiny.write_mini_imagenet_tables(tmp_path, per_class=6)
    mini_imagenet_is_right(datasets.mini_imagenet(root=str(tmp_path)), 6, 84)


def test_mini_imagenet_gives_the_classes_in_the_order_of_class_dict(tmp_path):
    tiny.write_mini_imagenet_pickles(tmp_path, size=4)
    path = tmp_path / "mini-imagenet-cache-train.pkl"
    content = pickle.loads(path.read_bytes(), encoding="latin1")
    content["class_dict"]["n00000000"] = np.array([5, 4, 3, 2, 1, 0])
    path.write_bytes(tiny.pickled(content, 4))
    images = datasets.mini_imagenet(root=str(tmp_path), size=4)
    assert images.train_images[:5, 0, 0, 1].tolist() == [5, 4, 3, 2, 1]
    assert images.test_images[0, 0, 0, 1] == 0


@pytest.mark.parametrize("write", [tiny.write_mini_imagenet_pickles, tiny.write_mini_imagenet_tables])
def test_mini_imagenet_of_another_size_is_resized(tmp_path, capsys, write):
    write(tmp_path, size=10)
    mini_imagenet_is_right(datasets.mini_imagenet(root=str(tmp_path), size=8), 6, 8)
    assert "500 of 500 images resized to 8 x 8" in capsys.readouterr().out


def test_a_folder_of_classes_has_no_test_part(tmp_path, capsys):
    tiny.write_image_folder(tmp_path, ("dog", "cat"))
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "cat" / ".hidden.png").write_text("no image")
    (tmp_path / ".thumbnails").mkdir()
    (tmp_path / "cat" / "more").mkdir()
    shutil.copy(tmp_path / "dog" / "0.png", tmp_path / "cat" / "more" / "9.PNG")
    images = datasets.image_folder(root=str(tmp_path), size=8)
    assert images.classes == ["cat", "dog"]
    assert images.test_images is None
    assert images.train_images.shape == (7, 8, 8, 3)
    assert images.train_labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert images.train_images[:, 0, 0, 0].tolist() == [1, 1, 1, 0, 0, 0, 0]
    assert images.train_images[:, 0, 0, 1].tolist() == [0, 1, 2, 0, 0, 1, 2]
    assert not capsys.readouterr().out


def test_folders_train_and_test_are_the_parts(tmp_path):
    tiny.write_image_folder(tmp_path / "train", count=3)
    tiny.write_image_folder(tmp_path / "test", count=2)
    images = datasets.image_folder(root=str(tmp_path), size=8)
    assert images.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert images.test_labels.tolist() == [0, 0, 1, 1]
    assert images.classes == ["cat", "dog"]


def test_root_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    tiny.write_image_folder(tmp_path / "pets")
    assert datasets.image_folder(root="~/pets", size=8).classes == ["cat", "dog"]


# Images of every kind.


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "rgb", "word"),
    [
        ("L", 100, "png", (100, 100, 100), "grey"),
        ("L", 100, "jpg", (100, 100, 100), "grey"),
        ("L", 100, "pgm", (100, 100, 100), "grey"),
        ("1", 1, "png", (255, 255, 255), "black and white"),
        ("I;16", 100 * 257 + 50, "png", (100, 100, 100), "grey"),
        ("I;16", 65535, "tif", (255, 255, 255), "grey"),
        ("RGBA", (10, 20, 30, 128), "png", (10, 20, 30), "RGBA"),
        ("LA", (100, 0), "png", (100, 100, 100), "grey with alpha"),
        ("CMYK", (0, 0, 0, 255), "jpg", (0, 0, 0), "CMYK"),
        ("P", 1, "png", (10, 20, 30), "palette"),
        ("P", 1, "gif", (10, 20, 30), "palette"),
    ],
)
def test_an_image_that_is_not_rgb_is_converted_and_that_is_said(tmp_path, capsys, mode, colour, suffix, rgb, word):
    tiny.write_image_folder(tmp_path, count=1)
    image = Image.new(mode, (8, 8), colour)
    if mode == "P":
        image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "cat" / f"1.{suffix}")
    images = datasets.image_folder(root=str(tmp_path), size=8)
    assert (images.train_images[1] == rgb).all()
    assert capsys.readouterr().out == f"{tmp_path}: 1 of 3 images converted to RGB (1 {word})\n"


def test_a_transparent_palette_keeps_its_colours(tmp_path, recwarn):
    tiny.write_image_folder(tmp_path, count=1)
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "cat" / "1.png", transparency=b"\x00\x80")
    assert (datasets.image_folder(root=str(tmp_path), size=8).train_images[1] == (10, 20, 30)).all()
    assert not recwarn.list


def test_another_size_is_scaled_to_its_shorter_side_and_cut_in_the_middle(tmp_path, capsys):
    tiny.write_image_folder(tmp_path, count=1)
    pixels = np.zeros((16, 48, 3), np.uint8)
    pixels[:, 16:32] = 200
    Image.fromarray(pixels).save(tmp_path / "cat" / "wide.png")
    Image.fromarray(pixels.swapaxes(0, 1)).save(tmp_path / "cat" / "high.png")
    Image.new("RGB", (2, 3), (7, 7, 7)).save(tmp_path / "dog" / "small.png")
    images = datasets.image_folder(root=str(tmp_path), size=8).train_images
    assert (images[1, :, 1:-1] == 200).all() or (images[1, 1:-1] == 200).all()
    assert (images[1:3, 1:-1, 1:-1] == 200).all()
    assert (images[4] == 7).all()
    assert capsys.readouterr().out == f"{tmp_path}: 3 of 5 images resized to 8 x 8\n"


def test_a_rotation_that_the_camera_noted_is_carried_out(tmp_path):
    tiny.write_image_folder(tmp_path, count=1)
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[0] = 255  # the top row, which lies at the right when turned by 90 degrees
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "cat" / "1.png", exif=exif)
    turned = datasets.image_folder(root=str(tmp_path), size=8).train_images[1]
    assert (turned[:, -1] == 255).all()
    assert not turned[:, :-1].any()


def test_resizing_smooths():
    stripes = np.zeros((1, 64, 64, 3), np.uint8)
    stripes[:, :, ::2] = 200
    small = image_files.resized(stripes, 8, "stripes")
    assert (abs(small.astype(int) - 100) < 30).all()


# A balanced subset.


@pytest.mark.parametrize(
    ("kind", "write", "options"),
    [
        ("cifar10", tiny.write_cifar10, {}),
        ("cifar100", lambda root: tiny.write_cifar100(root, per_class=5), {}),
        ("mnist", lambda root: tiny.write_mnist(root, 5, 1), {}),
        ("fashion_mnist", lambda root: tiny.write_mnist(root, 5, 1), {}),
        ("mini_imagenet", lambda root: tiny.write_mini_imagenet_pickles(root, size=4), {"size": 4}),
        ("mini_imagenet", lambda root: tiny.write_mini_imagenet_tables(root, size=4), {"size": 4}),
        ("image_folder", lambda root: tiny.write_image_folder(root, count=5), {"size": 8}),
    ],
)
def test_per_class_is_a_balanced_subset_at_even_distances(tmp_path, kind, write, options):
    write(tmp_path)
    load = getattr(datasets, kind)
    everything = load(root=str(tmp_path), **options)
    subset = load(root=str(tmp_path), per_class=2, **options)
    classes = len(everything.classes)
    assert np.bincount(subset.train_labels).tolist() == [2] * classes
    expected = []
    for label in range(classes):
        of_class = np.flatnonzero(everything.train_labels == label)
        assert len(of_class) == 5
        expected += [of_class[0], of_class[2]]
    np.testing.assert_array_equal(subset.train_images, everything.train_images[sorted(expected)])
    np.testing.assert_array_equal(subset.train_labels, everything.train_labels[sorted(expected)])
    if everything.test_labels is not None:  # one a class: no more than there are
        np.testing.assert_array_equal(subset.test_images, everything.test_images)
    with fails("per_class: 6; class "):
        load(root=str(tmp_path), per_class=6, **options)


def test_per_class_cuts_the_test_part_to_as_many(tmp_path):
    tiny.write_mnist(tmp_path, per_class=5, test_per_class=4)
    images = datasets.mnist(root=str(tmp_path), per_class=2)
    assert np.bincount(images.test_labels).tolist() == [2] * 10
    assert images.test_images[:, 5, 5, 0].tolist() == [*range(10), *range(20, 30)]


def test_per_class_leaves_the_test_part_balanced(tmp_path):
    tiny.write_image_folder(tmp_path / "train", count=4)
    tiny.write_image_folder(tmp_path / "test", count=3)
    (tmp_path / "test" / "dog" / "1.png").unlink()
    images = datasets.image_folder(root=str(tmp_path), size=8, per_class=3)
    assert images.test_labels.tolist() == [0, 0, 1, 1]


def test_per_class_reads_only_what_it_takes(tmp_path):
    tiny.write_image_folder(tmp_path, count=4)
    (tmp_path / "cat" / "1.png").write_bytes(b"broken")
    assert (
        datasets.image_folder(root=str(tmp_path), size=8, per_class=2).train_images[:, 0, 0, 1].tolist() == [0, 2] * 2
    )


# What goes wrong.


def test_a_root_that_is_no_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    for kind, options in {"cifar10": {}, "mnist": {}, "mini_imagenet": {}, "image_folder": {"size": 8}}.items():
        for root in ("nowhere", "file"):
            with fails(f"root: '{root}' is no folder (from {tmp_path}); allowed: the folder that has the files"):
                getattr(datasets, kind)(root=root, **options)
    with fails("root: null; allowed: the folder"):
        datasets.mini_imagenet(root=None)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_missing_file_of_cifar_is_named_and_not_downloaded(tmp_path, monkeypatch, name):
    monkeypatch.setattr(downloads, "fetch", lambda *_: pytest.fail("downloads although root is given"))
    folder = tiny.write_cifar10(tmp_path)
    (folder / name).unlink()
    with fails(f"{folder / name}: missing; allowed: all files of CIFAR10"):
        datasets.cifar10(root=str(tmp_path))
    archive = tmp_path / "packed" / "cifar-10-python.tar.gz"
    archive.parent.mkdir()
    tiny.write_archive(folder, archive)
    with fails(f"{archive / name}: missing"):
        datasets.cifar10(root=str(archive.parent))


def test_an_empty_root_is_no_reason_to_download(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "fetch", lambda *_: pytest.fail("downloads although root is given"))
    with fails("data_batch_1: missing; allowed: all files of CIFAR10"):
        datasets.cifar10(root=str(tmp_path))
    with fails("train: missing; allowed: all files of CIFAR100"):
        datasets.cifar100(root=str(tmp_path))
    with fails("train-images-idx3-ubyte: missing; allowed: that file, or train-images-idx3-ubyte.gz"):
        datasets.mnist(root=str(tmp_path))


@pytest.mark.parametrize("kept", [0, 1, 100, 2000, -1])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_truncated_pickle_is_named(tmp_path, protocol, kept):
    path = tiny.write_cifar10(tmp_path, protocol=protocol) / "data_batch_2"
    path.write_bytes(path.read_bytes()[:kept])
    with fails(f"{path}: truncated or not a pickle: "):
        datasets.cifar10(root=str(tmp_path))


def test_a_truncated_archive_is_named(tmp_path):
    folder = tiny.write_cifar10(tmp_path / "plain", per_class=4)
    archive = tiny.write_archive(folder, tmp_path / "cifar-10-python.tar.gz")
    whole = archive.read_bytes()
    for kept in (0, 5, len(whole) // 2, len(whole) - 20):
        archive.write_bytes(whole[:kept])
        with fails(f"{archive}"):
            datasets.cifar10(root=str(tmp_path))
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 255
    archive.write_bytes(damaged)
    with fails(f"{archive}"):
        datasets.cifar10(root=str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": np.zeros((10, 3071), np.uint8)}, "test_batch: no data of the right form; allowed: an N x 3072 array"),
        ({"data": np.zeros((10, 3072), np.int16)}, "test_batch: no data of the right form"),
        ({"data": [0] * 10}, "test_batch: no data of the right form"),
        ({"labels": [0] * 9}, "test_batch: no labels of the right form; allowed: 10 whole numbers"),
        ({"labels": ["0"] * 10}, "test_batch: no labels of the right form"),
        ({"labels": [0.5] * 10}, "test_batch: no labels of the right form"),
        ({"labels": None}, "test_batch: no labels of the right form"),
        ({"labels": [*range(9), 10]}, "label 10 in the test part; allowed: 0..9"),
        ({"labels": [*range(9), -1]}, "label -1 in the test part; allowed: 0..9"),
        ({"labels": [*range(9), 0]}, "class 'truck' has no image in the test part; allowed: one or more"),
    ],
)
def test_a_cifar_batch_of_another_form_is_named(tmp_path, change, message):
    path = tiny.write_cifar10(tmp_path) / "test_batch"
    batch = pickle.loads(path.read_bytes(), encoding="latin1") | change
    path.write_bytes(tiny.pickled(batch, 4))
    with fails(message):
        datasets.cifar10(root=str(tmp_path))


@pytest.mark.parametrize("meta", [{}, {"label_names": ["a"]}, {"label_names": [1] * 10}, {"label_names": "x" * 10}])
def test_class_names_of_another_form_are_named(tmp_path, meta):
    path = tiny.write_cifar10(tmp_path) / "batches.meta"
    path.write_bytes(tiny.pickled(meta))
    with fails(f"{path}: no label_names; allowed: 10 names under that key"):
        datasets.cifar10(root=str(tmp_path))


def test_a_pickle_that_is_no_dictionary_is_named(tmp_path):
    path = tiny.write_cifar10(tmp_path) / "test_batch"
    path.write_bytes(tiny.pickled([1]))
    with fails(f"{path}: holds list; allowed: a dictionary"):
        datasets.cifar10(root=str(tmp_path))


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            IMAGES,
            lambda data: data[:-1],
            "23519 bytes of data; allowed: the 23520 of 30 x 28 x 28 that its head announces",
        ),
        (IMAGES, lambda data: data + b"0", "23521 bytes of data; allowed: the 23520 of"),
        (IMAGES, lambda data: data[:10], "truncated in its head; allowed: the whole file"),
        (IMAGES, lambda data: b"", "begins with ; allowed: 00000803"),
        (IMAGES, lambda data: b"<html>no", "begins with 3c68746d; allowed: 00000803, an IDX file of bytes"),
        (IMAGES, lambda data: b"\0\0\x0d\3" + data[4:], "begins with 00000d03"),
        (IMAGES, lambda data: tiny.idx(np.zeros((30, 14, 14))), "images of 28 x 28; allowed: 14 x 14"),
        (IMAGES, lambda data: tiny.idx(np.zeros((29, 28, 28))), "30 labels; allowed: 29, one for each image"),
        (IMAGES, lambda data: b"\0\0\x08\3" + b"\xff" * 12, "0 bytes of data; allowed: the 792281624"),
        (LABELS, lambda data: data[:-1], "29 bytes of data; allowed: the 30 of 30 that"),
        (LABELS, lambda data: tiny.idx(np.zeros((30, 1, 1))), "begins with 00000803; allowed: 00000801"),
        (LABELS, lambda data: tiny.idx(np.full(30, 10)), "label 10 in the training part; allowed: 0..9"),
        (LABELS, lambda data: tiny.idx(np.zeros(30)), "class '1' has no image in the training part"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gz"])
def test_a_damaged_idx_file_is_named(tmp_path, name, change, message, compressed):
    tiny.write_mnist(tmp_path)
    path = tmp_path / name
    content = change(path.read_bytes())
    path.unlink()
    if compressed:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)
    with fails(message):
        datasets.mnist(root=str(tmp_path))


@pytest.mark.parametrize("kept", [0, 5, 20, -9])
def test_a_truncated_gz_file_is_named(tmp_path, kept):
    tiny.write_mnist(tmp_path, compressed=True)
    path = tmp_path / f"{IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:kept])
    with fails(f"{path}: "):
        datasets.mnist(root=str(tmp_path))


def test_what_is_not_gzip_is_named(tmp_path):
    tiny.write_mnist(tmp_path, compressed=True)
    (tmp_path / f"{IMAGES}.gz").write_bytes(b"<html>not found</html>")
    with fails(f"{tmp_path / IMAGES}.gz: truncated or not gzip"):
        datasets.mnist(root=str(tmp_path))


@pytest.mark.parametrize("write", [tiny.write_mini_imagenet_pickles, tiny.write_mini_imagenet_tables])
def test_a_missing_part_of_mini_imagenet_is_named(tmp_path, write):
    write(tmp_path, size=2)
    path = next(path for path in tmp_path.iterdir() if "val" in path.name)
    path.unlink()
    with fails(f"{path}: missing; allowed: all three of "):
        datasets.mini_imagenet(root=str(tmp_path))


def test_a_root_without_mini_imagenet_is_named(tmp_path):
    with fails(f"{tmp_path}: has no part of miniImageNet; allowed: the three pickles or three tables of mini-imag"):
        datasets.mini_imagenet(root=str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_data": None}, "no image_data of the right form; allowed: an N x H x W x 3 array of bytes"),
        ({"image_data": np.zeros((96, 2, 2))}, "no image_data of the right form"),
        ({"image_data": np.zeros((96, 2, 2, 1), np.uint8)}, "no image_data of the right form"),
        ({"image_data": np.zeros((96, 3, 3, 3), np.uint8)}, "images of 3 x 3 x 3; allowed: 2 x 2 x 3, as in mini-"),
        ({"class_dict": None}, "holds NoneType; allowed: a dictionary"),
        ({"class_dict": {"a": [0, 96]}}, "class 'a' of class_dict; allowed: a list of indices below 96"),
        ({"class_dict": {"a": [-1]}}, "class 'a' of class_dict"),
        ({"class_dict": {"a": "0"}}, "class 'a' of class_dict"),
        ({"class_dict": {"a": [0.0]}}, "class 'a' of class_dict"),
        ({"class_dict": {"n00000000": [0]}}, "class 'n00000000' is in another part too; allowed: each class in one of"),
        ({"class_dict": {"a": list(range(6))}}, "85 classes; allowed: the 100 of miniImageNet"),
    ],
)
def test_a_mini_imagenet_pickle_of_another_form_is_named(tmp_path, change, message):
    tiny.write_mini_imagenet_pickles(tmp_path, size=2)
    path = tmp_path / "mini-imagenet-cache-val.pkl"
    content = pickle.loads(path.read_bytes(), encoding="latin1") | change
    path.write_bytes(tiny.pickled(content, 4))
    with fails(message):
        datasets.mini_imagenet(root=str(tmp_path), size=2)


def test_a_mini_imagenet_class_with_too_few_images_is_named(tmp_path):
    tiny.write_mini_imagenet_pickles(tmp_path, per_class=5, size=2)
    with fails("class 'n00000000' has 5 images; allowed: 6 or more (600 in miniImageNet)"):
        datasets.mini_imagenet(root=str(tmp_path), size=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "84 classes; allowed: the 100"),
        (b"file,class\na.png,a\n", "val.csv: a row without filename or label; allowed: columns filename,label"),
        (b"filename,label\na.png\n", "val.csv: a row without filename or label"),
        (b"\xff\xfe\0\0", "val.csv: no table: "),
        (b"filename,label\na.png,n00000000\n", "val.csv: class 'n00000000' is in another part too"),
    ],
)
def test_a_table_of_another_form_is_named(tmp_path, content, message):
    tiny.write_mini_imagenet_tables(tmp_path, size=2)
    (tmp_path / "val.csv").write_bytes(content)
    with fails(message):
        datasets.mini_imagenet(root=str(tmp_path), size=2)


def test_an_image_that_a_table_names_and_nobody_has_is_named(tmp_path):
    tiny.write_mini_imagenet_tables(tmp_path, size=2)
    path = tmp_path / "images" / "n0000000300000002.png"
    path.unlink()
    with fails(f"{path}: missing; allowed: an image file"):
        datasets.mini_imagenet(root=str(tmp_path), size=2)


def test_a_class_folder_without_images_is_named(tmp_path):
    tiny.write_image_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    with fails(f"{tmp_path / 'empty'}: no image; allowed: one or more, .bmp, .gif"):
        datasets.image_folder(root=str(tmp_path), size=8)


@pytest.mark.parametrize("names", [(), ("cat",)])
def test_less_than_two_classes_are_no_dataset(tmp_path, names):
    tiny.write_image_folder(tmp_path, names)
    with fails(f"{tmp_path}: {len(names)} class folders; allowed: two or more"):
        datasets.image_folder(root=str(tmp_path), size=8)


def test_train_without_test_is_named(tmp_path):
    tiny.write_image_folder(tmp_path / "train")
    with fails(f"{tmp_path / 'test'}: missing; allowed: train and test with class folders, or class folders alone"):
        datasets.image_folder(root=str(tmp_path), size=8)


@pytest.mark.parametrize("where", ["train", "test"])
def test_a_class_of_one_part_only_is_named(tmp_path, where):
    tiny.write_image_folder(tmp_path / "train")
    tiny.write_image_folder(tmp_path / "test")
    tiny.write_image_folder(tmp_path / where, ("emu",))
    with fails(f"class 'emu': only in {tmp_path / where}; allowed: the same class folders in train and test"):
        datasets.image_folder(root=str(tmp_path), size=8)


def encapsulated_postscript() -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 8)).save(file, "EPS")
    return file.getvalue()


def floating_point() -> bytes:
    file = BytesIO()
    Image.new("F", (8, 8)).save(file, "TIFF")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda png: b"", "unreadable: no image that can be read; allowed: a whole BMP, GIF, JPEG, PNG"),
        (lambda png: b"<html>", "unreadable: no image that can be read"),
        (lambda png: png[:40], "unreadable: "),
        (lambda png: png[:-60], "unreadable: "),
        (lambda png: encapsulated_postscript(), "unreadable: no image that can be read"),
        (lambda png: floating_point(), "pixels are floating-point numbers; allowed: 8 or 16 bits"),
    ],
)
def test_an_unreadable_image_is_named(tmp_path, content, message):
    tiny.write_image_folder(tmp_path)
    path = tmp_path / "dog" / "1.png"
    Image.effect_noise((8, 8), 90).convert("RGB").save(path)
    path.write_bytes(content(path.read_bytes()))
    with fails(f"{path}: {message}"):
        datasets.image_folder(root=str(tmp_path), size=8)


def test_an_image_of_absurd_size_is_refused(tmp_path, monkeypatch):
    tiny.write_image_folder(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with fails("unreadable: Image size (64 pixels) exceeds limit of 40 pixels"):
        datasets.image_folder(root=str(tmp_path), size=8)


@pytest.mark.parametrize("per_class", [0, -1])
def test_per_class_below_one_is_named(tmp_path, per_class):
    tiny.write_mnist(tmp_path)
    with fails(f"per_class: {per_class}; allowed: a whole number >= 1 or null"):
        datasets.mnist(root=str(tmp_path), per_class=per_class)


# Pickles from strangers.


class Command:
    """Pickled, it is a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def attacks(mark: Path) -> dict[str, tuple[bytes, str]]:
    """Pickles that make `mark` when they are unpickled, and what the message says of them."""
    touch = f"touch {mark}"
    code = f"open({str(mark)!r}, 'w')"
    runstring = "from pathlib import Path; Path(a).touch()"
    system = Command(os.system, touch)
    array = np.zeros((2, 3072), np.uint8)
    objects = np.empty(1, dtype=object)
    objects[0] = system
    return {
        "os.system": (pickle.dumps(system), "system'"),
        "os.system, protocol 0": (pickle.dumps(system, protocol=0), "system'"),
        "builtins.eval": (pickle.dumps(Command(eval, code)), "'builtins.eval'"),
        "builtins.exec of Python 2": (pickle.dumps(Command(exec, code), protocol=2), "'__builtin__.exec'"),
        "in a value": (pickle.dumps({"data": array, "labels": [0, Command(eval, code)]}), "'builtins.eval'"),
        "in a key": (pickle.dumps({(1, Command(eval, code)): 1}), "'builtins.eval'"),
        "in an array of objects": (pickle.dumps(objects), "system'"),
        "in the state of an array": (
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\ntcbuiltins\neval\n(V"
            + code.encode()
            + b"\ntRI00\nS'a'\ntb.",
            "'builtins.eval'",
        ),
        "by numpy": (
            b"cnumpy.testing._private.utils\nrunstring\n(V"
            + runstring.encode()
            + b"\n(dVa\nV"
            + str(mark).encode()
            + b"\nstR.",
            "'numpy.testing._private.utils.runstring'",
        ),
        "after a whole dictionary": (pickle.dumps({"data": 1})[:-1] + pickle.dumps(system)[2:], "system'"),
        "by a dotted name": (
            b"\x80\x04\x8c\x05numpy\x8c\x0ef2py.os.system\x93\x8c" + bytes([len(touch)]) + touch.encode() + b"\x85R.",
            "'numpy.f2py.os.system'",
        ),
    }


ATTACKS = list(attacks(Path("mark")))


@pytest.mark.parametrize("name", ATTACKS)
def test_a_malicious_pickle_is_refused_and_does_not_run(tmp_path, name):
    mark = tmp_path / "ran"
    content, asked = attacks(mark)[name]
    folder = tiny.write_cifar10(tmp_path)
    (folder / "data_batch_1").write_bytes(content)
    with fails(f"{folder / 'data_batch_1'}: refused, because it asks for '") as raised:
        datasets.cifar10(root=str(tmp_path))
    assert asked in str(raised.value)
    assert str(raised.value).endswith("allowed: arrays, dictionaries, lists, text and numbers")

    tiny.write_mini_imagenet_pickles(tmp_path, size=2)
    path = tmp_path / "mini-imagenet-cache-test.pkl"
    path.write_bytes(content)
    with fails(f"{path}: refused, because it asks for '"):
        datasets.mini_imagenet(root=str(tmp_path), size=2)
    assert not mark.exists()


@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in ("by numpy", "by a dotted name")])
def test_the_malicious_pickles_are_malicious(tmp_path, name):
    """Python's own reader runs them; those left out depend on what numpy has and has loaded."""
    mark = tmp_path / "ran"
    with suppress(TypeError, ValueError):  # a file is no state of an array, but it was opened all the same
        pickle.loads(attacks(mark)[name][0])
    assert mark.exists()


def test_a_malicious_file_in_the_archive_does_not_run(tmp_path):
    mark = tmp_path / "ran"
    folder = tiny.write_cifar10(tmp_path / "plain")
    (folder / "test_batch").write_bytes(attacks(mark)["os.system"][0])
    tiny.write_archive(folder, tmp_path / "cifar-10-python.tar.gz")
    with fails("test_batch: refused"):
        datasets.cifar10(root=str(tmp_path))
    assert not mark.exists()


POINTER = b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({1, 2}), "refused, because it holds set"),
        (pickle.dumps(1j), "refused, because it asks for 'builtins.complex'"),
        (pickle.dumps(slice(1)), "refused, because it asks for 'builtins.slice'"),
        (pickle.dumps(np.array([None, "a"])), "refused, because it holds an array of objects"),
        (pickle.dumps(np.array(["a"])), "refused, because it holds an array of '<U1'"),
        (pickle.dumps(np.zeros(1, dtype=[("a", "O")])), "refused, because it holds an array of objects"),
        (pickle.dumps(np.zeros(1, dtype=[("a", "i4")])), "refused, because it holds an array of '|V4'"),
        (pickle.dumps(np.dtype("u1")), "refused, because it holds Dtype"),
        (b"cnumpy\nndarray\n((I2\ntVO\nS'0123456701234567'\ntR.", "truncated or not a pickle: "),
        (
            b"cnumpy.core.numeric\n_frombuffer\n(S'01234567'\n" + POINTER + b"(I1\ntS'C'\ntR.",
            "refused, because it holds an array of '|O8'",
        ),
        (
            b"cnumpy.core.multiarray\nscalar\n(" + POINTER + b"S'01234567'\ntR.",
            "refused, because it holds an array of '|O8'",
        ),
        (b"c_codecs\nencode\n(Va\nVrot13\ntR.", "refused, because it asks for the encoding 'rot13'"),
        (b"Vpersistent\nQ.", "truncated or not a pickle: "),
        (b"\x82\x01.", "truncated or not a pickle: "),
        (b"(" * 1000 + b"]" + b"0." + b"x", "truncated or not a pickle: "),
    ],
)
def test_what_is_no_plain_data_is_refused(content, message):
    with fails(f"a file: {message}"):
        safe_pickle.load(BytesIO(content), "a file")


def test_an_endless_value_is_refused():
    endless: list = []
    endless.append(endless)
    with fails("a file: truncated or not a pickle: maximum recursion depth exceeded"):
        safe_pickle.load(BytesIO(pickle.dumps(endless)), "a file")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i4", "<i8", "<u8", "<f4", ">f8", "b1", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_numbers_come_back_as_they_were(protocol, dtype, order):
    array = np.asarray(np.arange(24).reshape(2, 3, 4) % 7, dtype=dtype, order=order)
    read = safe_pickle.load(BytesIO(tiny.pickled({"a": [array, array]}, protocol)), "a file")
    for copy in read["a"]:
        assert copy.dtype == array.dtype
        np.testing.assert_array_equal(copy, array)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_come_back_as_they_were(protocol):
    value = {"text": "é", "numbers": [1, -(2**70), 0.5, True, None], "inner": {3: ["x"]}, "numpy": np.int64(7)}
    expected = value | {"numpy": 7}
    assert safe_pickle.load(BytesIO(tiny.pickled(value, protocol)), "a file") == expected


def test_tuples_and_bytes_are_lists_and_text():
    assert safe_pickle.load(BytesIO(pickle.dumps((b"a", (1,)))), "a file") == ["a", [1]]


# Downloads.


class Server:
    """Files of a folder by HTTP on this machine; `cut` names files of which half is sent before the line breaks."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.cut: set[str] = set()
        self.requests: list[str] = []
        outer = self

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments, directory=str(folder))

            def do_GET(self):
                name = self.path.strip("/")
                outer.requests.append(name)
                if name not in outer.cut:
                    return super().do_GET()
                content = (folder / name).read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server with tiny versions of the published files, which torchvision takes for the published ones."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "published"
    folder.mkdir()
    tiny.write_mnist(folder, compressed=True)
    for source, write in ((published.CIFAR10, tiny.write_cifar10), (published.CIFAR100, tiny.write_cifar100)):
        tiny.write_archive(write(tmp_path / "sources"), folder / source.filename)
    server = Server(folder)
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    for source in (published.CIFAR10, published.CIFAR100):
        monkeypatch.setattr(source, "url", server.address + source.filename)
        monkeypatch.setattr(source, "tgz_md5", sums[source.filename])
    for source in (published.MNIST, published.FashionMNIST):
        monkeypatch.setattr(source, "mirrors", [server.address])
        monkeypatch.setattr(source, "resources", [(name, sums[name]) for name, _ in source.resources])
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield server
    server.close()


KINDS = {"cifar10": 1, "cifar100": 1, "mnist": 4, "fashion_mnist": 4}


@pytest.mark.parametrize("kind", KINDS)
def test_without_root_the_files_are_downloaded_once(server, kind):
    images = getattr(datasets, kind)()
    assert len(images.classes) == datasets.CLASSES[kind]
    np.testing.assert_array_equal(images.train_images[:, 0, 0, 0], images.train_labels)
    asked = len(server.requests)
    found = {path.name for path in Path("results/downloads", kind).iterdir() if not path.name.startswith(".")}
    assert found == set(server.requests)
    assert len(found) == KINDS[kind]
    again = getattr(datasets, kind)()
    np.testing.assert_array_equal(again.train_images, images.train_images)
    assert len(server.requests) == asked


@pytest.mark.parametrize(("kind", "name"), [("cifar10", published.CIFAR10.filename), ("mnist", f"{LABELS}.gz")])
def test_an_interrupted_download_is_one_line_and_running_again_mends_it(server, kind, name):
    server.cut = {name}
    with fails(f"results/downloads/{kind}/{name}: not downloaded: "):
        getattr(datasets, kind)()
    server.cut = set()
    images = getattr(datasets, kind)()
    np.testing.assert_array_equal(images.train_images[:, 0, 0, 0], images.train_labels)


def test_what_a_killed_download_left_is_not_taken_for_the_file(server):
    folder = Path("results/downloads/cifar10")
    folder.mkdir(parents=True)
    name = published.CIFAR10.filename
    (folder / name).write_bytes((server.folder / name).read_bytes()[:1000])
    assert len(datasets.cifar10().train_labels) == 50


def test_a_wrong_checksum_is_one_line_and_nothing_is_unpickled(server, tmp_path):
    name = published.CIFAR10.filename
    mark = tmp_path / "ran"
    folder = tmp_path / "sources" / "cifar-10-batches-py"
    (folder / "data_batch_1").write_bytes(attacks(mark)["os.system"][0])
    tiny.write_archive(folder, server.folder / name)
    wrong = hashlib.md5((server.folder / name).read_bytes()).hexdigest()
    right = published.CIFAR10.tgz_md5
    with fails(
        f"results/downloads/cifar10/{name}: not downloaded: what {server.address}{name} delivered has md5 {wrong} "
        f"instead of {right}; allowed: run again, or a folder that has it as root"
    ):
        datasets.cifar10()
    assert not mark.exists()


def test_a_file_that_is_not_there_and_a_server_that_is_not_there_are_one_line(server):
    (server.folder / f"{LABELS}.gz").unlink()
    with fails(f"{LABELS}.gz: HTTP Error 404: File not found; allowed: run again"):
        datasets.mnist()
    server.close()
    with fails("not downloaded: http://127.0.0.1:"):
        datasets.cifar10()


def test_the_next_mirror_is_asked_when_one_fails(server, monkeypatch):
    monkeypatch.setattr(published.MNIST, "mirrors", [f"{server.address}nothing/", server.address])
    assert len(datasets.mnist().train_labels) == 30


def test_a_full_disk_is_not_taken_for_the_network(server, monkeypatch):
    from torchvision.datasets import utils

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(utils, "_urlretrieve", full)
    with pytest.raises(OSError, match="No space left on device"):
        datasets.mnist()


# Through the preparation, and in a configuration.


@pytest.mark.parametrize(
    ("kind", "write", "options", "shape"),
    [
        ("cifar10", tiny.write_cifar10, {}, [32, 32, 3]),
        ("cifar100", lambda root: tiny.write_cifar100(root, per_class=5), {}, [32, 32, 3]),
        ("mnist", lambda root: tiny.write_mnist(root, per_class=5), {"per_class": 4}, [28, 28, 1]),
        ("fashion_mnist", lambda root: tiny.write_mnist(root, per_class=5), {}, [28, 28, 1]),
        ("mini_imagenet", lambda root: tiny.write_mini_imagenet_pickles(root, size=4), {"size": 4}, [4, 4, 3]),
        ("mini_imagenet", lambda root: tiny.write_mini_imagenet_tables(root, size=4), {"size": 5}, [5, 5, 3]),
        ("image_folder", lambda root: tiny.write_image_folder(root, count=8), {"size": 8, "per_class": 6}, [8, 8, 3]),
    ],
)
def test_every_kind_can_be_prepared(tmp_path, kind, write, options, shape):
    write(tmp_path / "source")
    images = getattr(datasets, kind)(root=str(tmp_path / "source"), **options)
    split = {"split_seed": 0, "stratified": True, "validation_fraction": 0.25, "test_fraction": None}
    if images.test_images is None:
        split["test_fraction"] = 1 / 3
    preparation.prepare(tmp_path / "prepared", images, **split)
    dataset = preparation.PreparedDataset.open(tmp_path / "prepared" / "manifest.json")
    assert dataset.manifest["image_shape"] == shape
    assert dataset.class_count == datasets.CLASSES.get(kind, 2)
    for part in preparation.SPLITS:
        assert set(dataset.labels(part)) == set(range(dataset.class_count))
        assert len(dataset.images(part)) == len(dataset.labels(part))


def test_the_workflow_prepares_a_folder_logs_conversions_and_leaves_nothing_of_a_bad_one(workflow):
    pets = tiny.write_image_folder(workflow.directory / "pets", count=10)
    Image.new("L", (9, 9)).save(pets / "cat" / "grey.png")
    options = {"kind": "image_folder", "root": "pets", "size": 8, "test_fraction": 0.3, "validation_fraction": 0.3}
    workflow.config["datasets"] |= {"pets": options, "strays": options | {"per_class": 11}}
    workflow.run("results/datasets/pets/manifest.json")
    assert (workflow.directory / "results/logs/prepare_dataset/pets.log").read_text() == (
        "pets: 1 of 21 images converted to RGB (1 grey)\npets: 1 of 21 images resized to 8 x 8\n"
    )
    failed = workflow.run("results/datasets/strays/manifest.json", check=False)
    assert failed.returncode != 0
    assert "per_class: 11; class 'dog' of pets has 10; allowed: up to 10 (log: " in failed.stderr
    assert not list((workflow.directory / "results/datasets").glob("strays/*"))


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist():
    images = datasets.fashion_mnist(root=str(FASHION))
    assert images.train_images.shape == (60000, 28, 28, 1)
    assert images.test_images.shape == (10000, 28, 28, 1)
    assert np.bincount(images.train_labels).tolist() == [6000] * 10
    assert np.bincount(images.test_labels).tolist() == [1000] * 10
    mean, std = preparation.pixel_statistics(images.train_images)
    assert (round(mean[0], 4), round(std[0], 4)) == (0.2860, 0.3530)
    # Its authors' first example is an ankle boot.
    assert images.classes[images.train_labels[0]] == "Ankle boot"
    subset = datasets.fashion_mnist(root=str(FASHION), per_class=600)
    assert np.bincount(subset.train_labels).tolist() == np.bincount(subset.test_labels).tolist() == [600] * 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "cifar10", "per_class": 0}, "datasets.data.per_class: 0; allowed: a whole number >= 1 or null"),
        ({"kind": "cifar10", "per_class": 1.5}, "datasets.data.per_class: 1.5; allowed: a whole number >= 1 or null"),
        ({"kind": "cifar10", "root": 3}, "datasets.data.root: 3; allowed: text or null"),
        ({"kind": "cifar10", "root": ""}, "datasets.data.root: ''; allowed: text or null"),
        (
            {"kind": "cifar10", "size": 32},
            "datasets.data.size: unknown key; allowed: kind, per_class, root, split_seed",
        ),
        ({"kind": "image_folder", "root": "x"}, "datasets.data.size: missing; kind image_folder has no default for it"),
        ({"kind": "image_folder", "root": "x", "size": 0}, "datasets.data.size: 0; allowed: a whole number >= 1"),
        ({"kind": "mini_imagenet"}, "datasets.data.root: missing; kind mini_imagenet has no default for it"),
    ],
)
def test_a_configuration_is_answered_before_anything_is_read(small_config, options, message):
    small_config["datasets"]["data"] = options
    with pytest.raises(InputError) as raised:
        configuration.validated(small_config, Codebase())
    assert str(raised.value).startswith(message)


def test_every_option_of_every_kind_is_in_the_schema():
    schema = configuration._schema()["properties"]["datasets"]["additionalProperties"]["properties"]
    for kind, options in Codebase().functions("datasets").items():
        assert set(options) <= set(schema), kind


def test_the_defaults_are_the_functions_own(small_config):
    small_config["datasets"]["data"] = {"kind": "mini_imagenet", "root": "x", "per_class": "5"}
    dataset = configuration.validated(small_config, Codebase())["datasets"]["data"]
    assert (dataset["size"], dataset["per_class"]) == (84, 5)
