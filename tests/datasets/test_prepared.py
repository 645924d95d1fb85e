"""Prepared datasets: how images are split, what is written, and what is said when a file is damaged."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from equal_losses.datasets._images import Images
from equal_losses.datasets.prepared import SPLITS, PreparedDataset, pixel_statistics, prepare
from equal_losses.running.files import sha256

from .errors import fails

SPLIT = {"split_seed": 0, "stratified": True, "validation_fraction": 0.1, "test_fraction": None}


def toy(per_class: int = 20, with_test: bool = True) -> Images:
    """Images of three classes that carry their own number in their first pixel."""
    labels = np.repeat(np.arange(3), per_class)
    images = np.zeros((len(labels), 4, 5, 3), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(len(labels))
    test = (images[:6], labels[:6]) if with_test else (None, None)
    return Images(images, labels, *test, ["a", "b", "c"])


def prepared(folder: Path, images: Images, **options) -> PreparedDataset:
    prepare(folder, images, **{**SPLIT, **options})
    return PreparedDataset.open(folder / "manifest.json")


def numbers(dataset: PreparedDataset, split: str) -> list[int]:
    return dataset.images(split)[:, 0, 0, 0].tolist()


@pytest.fixture
def dataset(tmp_path) -> PreparedDataset:
    """Sixty images, a quarter of which becomes the test part."""
    return prepared(tmp_path, toy(with_test=False), test_fraction=0.25)


def test_the_parts_are_disjoint_and_complete(dataset):
    parts = [numbers(dataset, split) for split in SPLITS]
    assert [len(part) for part in parts] == [40, 5, 15]
    assert sorted(chain(*parts)) == list(range(60))


def test_the_split_of_a_seed_stays_what_it_is(dataset):
    assert numbers(dataset, "val") == [6, 19, 28, 33, 45]
    assert numbers(dataset, "test") == [0, 3, 11, 12, 15, 25, 26, 27, 29, 34, 40, 41, 47, 54, 59]


def test_another_seed_makes_another_split(tmp_path, dataset):
    other = prepared(tmp_path / "other", toy(with_test=False), test_fraction=0.25, split_seed=1)
    assert numbers(other, "val") != numbers(dataset, "val")


def test_labels_go_with_their_images(dataset):
    for split in SPLITS:
        assert dataset.labels(split).tolist() == [number // 20 for number in numbers(dataset, split)]


def test_a_test_part_of_the_source_is_kept_as_it_is(tmp_path):
    assert numbers(prepared(tmp_path, toy()), "test") == [0, 1, 2, 3, 4, 5]


def test_stratified_parts_have_the_classes_in_equal_shares(tmp_path):
    counts = prepared(tmp_path, toy()).manifest["counts"]
    assert counts == {"train": [18, 18, 18], "val": [2, 2, 2], "test": [6, 0, 0]}


def test_an_unstratified_split_need_not(tmp_path):
    counts = prepared(tmp_path, toy(), stratified=False).manifest["counts"]
    assert sum(counts["train"]) == 54
    assert len(set(counts["train"])) > 1


def test_the_manifest_describes_the_images_and_the_files(tmp_path, dataset):
    mean, std = pixel_statistics(dataset.images("train"))
    assert json.loads((tmp_path / "manifest.json").read_text()) == {
        "classes": ["a", "b", "c"],
        "image_shape": [4, 5, 3],
        "counts": {split: np.bincount(dataset.labels(split)).tolist() for split in SPLITS},
        "pixel_mean": mean,
        "pixel_std": std,
        "sha256": {path.name: sha256(path) for path in tmp_path.glob("*.npy")},
        "sources": {},
    }
    assert (dataset.class_count, dataset.channels) == (3, 3)


def test_pixel_statistics_count_every_image():
    images = np.random.default_rng(0).integers(0, 256, (2500, 2, 3, 2), dtype=np.uint8)
    mean, std = pixel_statistics(images)
    np.testing.assert_allclose(mean, images.mean(axis=(0, 1, 2)) / 255, rtol=1e-12)
    np.testing.assert_allclose(std, images.std(axis=(0, 1, 2)) / 255, rtol=1e-12)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("names", [["one.gz"], ["one", "two"], ["cat/1.png", "dog/1.png"], ["a.csv", "images/1.png"]])
def test_the_manifest_names_the_sources_below_the_folder_that_has_them_all(tmp_path, monkeypatch, relative, names):
    monkeypatch.chdir(tmp_path)
    paths = [(Path() if relative else tmp_path) / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    sources = prepared(tmp_path / "prepared", toy(), sources=reversed(paths)).manifest["sources"]
    assert sources == {name: sha256(path) for name, path in zip(names, paths, strict=True)}


@pytest.mark.parametrize(
    ("images", "split", "message"),
    [
        (toy(with_test=False), {}, "test_fraction: missing; this dataset has no test part; expected a share of 0..1"),
        (toy(), {"test_fraction": 0.2}, "test_fraction: 0.2; this dataset has a test part of its own; expected null"),
        (toy(per_class=1), {}, "split of 3 images at 0.1: "),
    ],
)
def test_an_impossible_split_is_named_and_writes_nothing(tmp_path, images, split, message):
    with fails(message):
        prepared(tmp_path, images, **split)
    assert not list(tmp_path.iterdir())


def test_a_class_without_a_training_image_is_named(tmp_path):
    images = toy()
    images.train_labels[images.train_labels == 1] = 0
    with fails("class 'b': no image in the training part; expected one or more of each class"):
        prepared(tmp_path, images)


def test_images_are_mapped_not_read(dataset):
    assert isinstance(dataset.images("train"), np.memmap)
