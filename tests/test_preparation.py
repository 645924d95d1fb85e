"""Datasets: what is read, how it is split and what is written."""

from __future__ import annotations

import json
from itertools import chain

import numpy as np
import pytest
from neural_collapse import datasets, preparation
from neural_collapse.errors import InputError
from neural_collapse.files import sha256

SPLIT = {"split_seed": 0, "stratified": True, "validation_fraction": 0.1, "test_fraction": None}


def toy(per_class: int = 20, with_test: bool = True) -> datasets.Images:
    """Images that carry their own number in their first pixels."""
    labels = np.repeat(np.arange(3), per_class)
    images = np.zeros((len(labels), 4, 5, 3), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(len(labels))
    test = (images[:6], labels[:6]) if with_test else (None, None)
    return datasets.Images(images, labels, *test, ["a", "b", "c"])


def prepared(tmp_path, images: datasets.Images, **split) -> preparation.PreparedDataset:
    preparation.prepare(tmp_path, images, **{**SPLIT, **split})
    return preparation.PreparedDataset.open(tmp_path / "manifest.json")


def test_the_digits_are_1797_grey_images_over_the_whole_range_of_bytes():
    images = datasets.digits()
    assert images.train_images.shape == (1797, 8, 8, 1)
    assert (images.train_images.min(), images.train_images.max()) == (0, 255)
    assert np.bincount(images.train_labels).min() == 174
    assert images.test_images is None
    assert datasets.CLASSES["digits"] == len(images.classes)


def test_the_parts_are_disjoint_and_complete(tmp_path):
    dataset = prepared(tmp_path, toy(with_test=False), test_fraction=0.25)
    numbers = [dataset.images(split)[:, 0, 0, 0].tolist() for split in preparation.SPLITS]
    assert [len(part) for part in numbers] == [40, 5, 15]
    assert sorted(chain(*numbers)) == list(range(60))


def test_a_test_part_of_the_source_is_kept_as_it_is(tmp_path):
    dataset = prepared(tmp_path, toy())
    assert dataset.images("test")[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert len(dataset.images("train")) == 54


def test_stratified_parts_have_the_classes_in_equal_shares(tmp_path):
    counts = prepared(tmp_path, toy()).manifest["counts"]
    assert counts["train"] == [18, 18, 18]
    assert counts["val"] == [2, 2, 2]


def test_an_unstratified_split_need_not(tmp_path):
    counts = prepared(tmp_path, toy(), stratified=False).manifest["counts"]
    assert sum(counts["train"]) == 54
    assert len(set(counts["train"])) > 1


def test_the_seed_makes_the_split(tmp_path):
    one, same, other = (
        prepared(tmp_path / name, toy(), split_seed=seed).images("val").tolist()
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )
    assert one == same != other


def test_the_manifest_describes_the_files(tmp_path):
    dataset = prepared(tmp_path, toy())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["classes"] == ["a", "b", "c"]
    assert manifest["image_shape"] == [4, 5, 3]
    for name, digest in manifest["sha256"].items():
        assert sha256(tmp_path / name) == digest
    pixels = dataset.images("train").astype(np.float64) / 255
    np.testing.assert_allclose(manifest["pixel_mean"], pixels.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(manifest["pixel_std"], pixels.std(axis=(0, 1, 2)), rtol=1e-12)


def test_pixel_statistics_count_every_image():
    images = np.random.default_rng(0).integers(0, 256, (2500, 2, 3, 2), dtype=np.uint8)
    mean, std = preparation.pixel_statistics(images)
    np.testing.assert_allclose(mean, images.mean(axis=(0, 1, 2)) / 255, rtol=1e-12)
    np.testing.assert_allclose(std, images.std(axis=(0, 1, 2)) / 255, rtol=1e-12)


def test_images_are_mapped_not_read(tmp_path):
    images = prepared(tmp_path, toy()).images("train")
    assert isinstance(images, np.memmap)
    assert images.dtype == np.uint8


@pytest.mark.parametrize(
    ("images", "split", "message"),
    [
        (toy(with_test=False), {}, "test_fraction: missing; this dataset has no test part"),
        (toy(), {"test_fraction": 0.2}, "test_fraction: 0.2; not allowed: this dataset has a test part of its own"),
        (toy(per_class=1), {}, "split of 3 images at 0.1: "),
    ],
)
def test_an_impossible_split_is_named_and_writes_nothing(tmp_path, images, split, message):
    with pytest.raises(InputError, match=f"^{message}"):
        prepared(tmp_path, images, **split)
    assert not list(tmp_path.iterdir())


def test_a_class_without_a_training_image_is_named(tmp_path):
    images = toy()
    images.train_labels[images.train_labels == 1] = 0
    with pytest.raises(InputError, match="class 'b': no image in the training part"):
        prepared(tmp_path, images)
