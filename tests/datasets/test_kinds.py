"""What every kind of dataset keeps to, on tiny files in the formats of the real ones."""

from __future__ import annotations

import ast
import builtins
import importlib
import io
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from equal_losses import datasets
from equal_losses.study import kinds

from . import tiny_datasets as tiny
from .errors import fails

FILES = {kind: Path(datasets.__file__).with_name(f"{kind}.py") for kind in kinds.kinds("datasets")}


def constant(kind: str, name: str) -> object:
    """A literal of a kind's file, or None."""
    for node in ast.parse(FILES[kind].read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    return None


class Source(NamedTuple):
    kind: str
    options: dict
    root: Path

    def read(self, **options):
        return datasets.load(self.kind)(root=str(self.root), **self.options, **options)

    def files(self, root: Path) -> list[Path]:
        return importlib.import_module(f"equal_losses.datasets.{self.kind}").files(str(root))


def write_packed_cifar10(root: Path) -> None:
    tiny.write_archive(tiny.write_cifar10(root.parent / "unpacked"), root / "cifar-10-python.tar.gz")


def write_parts(root: Path) -> None:
    tiny.write_image_folder(root / "train", count=5)
    tiny.write_image_folder(root / "test", count=1)


# Five training images of each class and, where there is a test part, one test image.
SOURCES = {
    "cifar10": ("cifar10", {}, tiny.write_cifar10),
    "cifar10 packed": ("cifar10", {}, write_packed_cifar10),
    "cifar100": ("cifar100", {}, lambda root: tiny.write_cifar100(root, 5)),
    "mnist": ("mnist", {}, lambda root: tiny.write_mnist(root, 5, 1)),
    "mnist gz": ("mnist", {}, lambda root: tiny.write_mnist(root, 5, 1, compressed=True)),
    "fashion_mnist": ("fashion_mnist", {}, lambda root: tiny.write_mnist(root / "FashionMNIST" / "raw", 5, 1)),
    "mini_imagenet": ("mini_imagenet", {"size": 4}, lambda root: tiny.write_mini_imagenet_pickles(root, size=5)),
    "mini_imagenet tables": ("mini_imagenet", {"size": 4}, lambda root: tiny.write_mini_imagenet_tables(root, size=5)),
    "image_folder": ("image_folder", {"size": 8}, lambda root: tiny.write_image_folder(root, count=5)),
    "image_folder parts": ("image_folder", {"size": 8}, write_parts),
}


@pytest.fixture(params=SOURCES)
def source(request, tmp_path) -> Source:
    kind, options, write = SOURCES[request.param]
    write(tmp_path / "source")
    return Source(kind, options, tmp_path / "source")


def test_classes_and_images_are_as_declared(source):
    images = source.read()
    assert len(images.classes) == (constant(source.kind, "CLASSES") or 2)
    side = source.options.get("size")
    assert images.train_images.shape[1:] == ((side, side, 3) if side else constant(source.kind, "SIZE")[2:])
    assert (images.train_images.dtype, images.train_labels.dtype) == (np.uint8, np.int64)


def test_each_image_has_its_own_label(source):
    images = source.read()
    np.testing.assert_array_equal(images.train_images[:, 0, 0, 0], images.train_labels)
    assert np.bincount(images.train_labels).tolist() == [5] * len(images.classes)
    if images.test_images is not None:
        np.testing.assert_array_equal(images.test_images[:, 0, 0, 0], images.test_labels)
        assert np.bincount(images.test_labels).tolist() == [1] * len(images.classes)


def test_per_class_takes_images_at_even_distances_from_the_first(source):
    everything, subset = source.read(), source.read(per_class=2)
    of_class = [np.flatnonzero(everything.train_labels == label) for label in range(len(everything.classes))]
    expected = np.sort(np.concatenate([indices[[0, 2]] for indices in of_class]))
    np.testing.assert_array_equal(subset.train_images, everything.train_images[expected])
    np.testing.assert_array_equal(subset.train_labels, everything.train_labels[expected])
    np.testing.assert_array_equal(subset.test_images, everything.test_images)  # which have a key of their own


def test_per_class_beyond_the_training_part_is_named(source):
    with fails("per_class: 6; class "):
        source.read(per_class=6)


def test_files_are_those_that_are_read(source, monkeypatch):
    opened, open_file = [], builtins.open

    def recording(path, *arguments, **options):
        opened.append(path)
        return open_file(path, *arguments, **options)

    for module in (builtins, io):
        monkeypatch.setattr(module, "open", recording)
    source.read()
    monkeypatch.undo()
    paths = {Path(path) for path in opened if isinstance(path, str | Path)}
    assert source.files(source.root) == sorted(path for path in paths if path.is_relative_to(source.root))


def test_files_leaves_out_what_is_missing(source):
    first, *others = source.files(source.root)
    first.unlink()
    assert source.files(source.root) == others
    assert source.files(source.root / "nowhere") == []


@pytest.mark.parametrize("source", [name for name in SOURCES if "image_folder" not in name], indirect=True)
def test_a_missing_file_is_named(source):
    first, *others = source.files(source.root)
    first.unlink()
    with fails(": missing; expected ") as raised:
        source.read()
    assert not others or str(first) in str(raised.value)


@pytest.mark.parametrize("damage", ["empty", "half", "another file", "malicious"])
def test_a_damaged_file_is_named_and_does_not_run(source, damage):
    path, mark = source.files(source.root)[0], source.root / "ran"
    whole = path.read_bytes()
    contents = {"empty": b"", "half": whole[: len(whole) // 2], "another file": b"<html></html>"}
    path.write_bytes(contents.get(damage, tiny.malicious(mark)))
    with fails(f"{path}"):
        source.read()
    assert not mark.exists()


def test_a_root_may_begin_at_home(source, monkeypatch):
    files = source.files(source.root)
    monkeypatch.setenv("HOME", str(source.root.parent))
    assert source.files(Path("~/source")) == files
    assert source._replace(root="~/source").read().classes == source.read().classes


@pytest.mark.parametrize("root", ["nowhere", "file"])
def test_a_root_that_is_no_folder_is_named(source, monkeypatch, root):
    monkeypatch.chdir(source.root.parent)
    Path("file").touch()
    with fails(f"root: {root!r} is no folder (from {Path.cwd()}); expected the folder that has the files"):
        source._replace(root=root).read()


def test_a_root_of_null_is_named():
    with fails("root: null; expected the folder that has the files"):
        datasets.load("mini_imagenet")(root=None)


@pytest.mark.parametrize("per_class", [0, -1])
def test_per_class_below_one_is_named(tmp_path, per_class):
    tiny.write_mnist(tmp_path)
    with fails(f"per_class: {per_class}; allowed: a whole number >= 1 or null"):
        datasets.load("mnist")(root=str(tmp_path), per_class=per_class)


def test_test_per_class_takes_images_of_the_test_part_alone(tmp_path):
    tiny.write_mnist(tmp_path, per_class=5, test_per_class=4)
    images = datasets.load("mnist")(root=str(tmp_path), test_per_class=2)
    assert images.test_images[:, 5, 5, 0].tolist() == [*range(10), *range(20, 30)]
    assert len(images.train_images) == 50


def test_test_per_class_beyond_the_test_part_is_named(source):
    if source.read().test_images is None:
        with fails(f"test_per_class: 2; {source.root} has no folder test; expected null"):
            source.read(test_per_class=2)
    else:
        with fails("test_per_class: 2; class "):
            source.read(test_per_class=2)


def test_the_digits_are_1797_grey_images_over_the_whole_range_of_bytes():
    images = datasets.load("digits")()
    assert (len(images.train_images), 0, *images.train_images.shape[1:]) == constant("digits", "SIZE")
    assert (images.train_images.min(), images.train_images.max()) == (0, 255)
    assert np.bincount(images.train_labels).min() == 174
    assert images.test_images is None


def test_files_are_found_without_what_decodes_images(tmp_path):
    code = f"""
import importlib, sys
for kind in {sorted(FILES)}:
    files = getattr(importlib.import_module("equal_losses.datasets." + kind), "files", None)
    assert files is None or files({str(tmp_path)!r}) == []
assert not {{"PIL", "torch", "torchvision", "sklearn", "pandas"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
