"""What a dataset's key knows of local files, and that a job and its workflow know the same."""

from __future__ import annotations

import os

import pytest

from equal_losses.study import listing
from equal_losses.study.grid import Study

from .studies import put, steps_of


@pytest.fixture
def photos(small_config, tmp_path, monkeypatch):
    """A study of images in the folder `photos` of the working directory, which is returned; images need no content."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    for name, size in (("cat/1.png", 10), ("cat/2.png", 20), ("dog/1.png", 30)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(size))
    put(small_config, "datasets.digits", {"kind": "image_folder", "root": "photos", "size": 8, "test_fraction": 0.5})
    return folder


def key_now(config: dict) -> str:
    """The key of the dataset by the files that are on disk."""
    return steps_of(config, listings=listing.found(Study(config))).dataset("digits").key


def test_names_and_sizes_of_the_files_are_found(photos, small_config):
    assert listing.found(Study(small_config)) == {"digits": {"cat/1.png": 10, "cat/2.png": 20, "dog/1.png": 30}}


@pytest.mark.parametrize(
    "change",
    [
        lambda photos: (photos / "dog/2.png").write_bytes(bytes(30)),
        lambda photos: (photos / "cat/2.png").unlink(),
        lambda photos: (photos / "cat/2.png").rename(photos / "cat/3.png"),
        lambda photos: (photos / "cat/2.png").write_bytes(bytes(21)),
    ],
    ids=["another", "one less", "another name", "another size"],
)
def test_names_and_sizes_are_in_the_key(photos, small_config, change):
    before = key_now(small_config)
    change(photos)
    assert key_now(small_config) != before


def test_what_is_no_image_is_not_in_the_key(photos, small_config):
    before = key_now(small_config)
    (photos / "cat" / "notes.txt").write_text("a cat")
    assert key_now(small_config) == before


def test_the_same_path_in_two_folders_is_two_datasets(photos, small_config, tmp_path, monkeypatch):
    before = key_now(small_config)
    (tmp_path / "other" / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "other" / "photos" / "cat" / "1.png").write_bytes(bytes(11))
    monkeypatch.chdir(tmp_path / "other")
    assert key_now(small_config) != before


def test_a_job_knows_the_files_as_they_were_when_the_workflow_was_started(photos, small_config, tmp_path):
    study = Study(small_config)
    before = key_now(small_config)
    listing.save(study, tmp_path, listing.found(study))
    (photos / "cat/2.png").write_bytes(bytes(21))
    assert steps_of(small_config, listings=listing.saved(study, tmp_path)).dataset("digits").key == before


def test_the_next_start_of_the_workflow_saves_the_files_as_they_are_now(photos, small_config, tmp_path):
    study = Study(small_config)
    listing.save(study, tmp_path, listing.found(study))
    (photos / "cat/2.png").write_bytes(bytes(21))
    listing.save(study, tmp_path, listing.found(study))
    assert listing.saved(study, tmp_path)["digits"]["cat/2.png"] == 21


def test_a_listing_is_that_of_its_source(photos, small_config, tmp_path):
    """Two studies may call two datasets the same; a job of one does not read the listing of the other."""
    listing.save(Study(small_config), tmp_path, {"digits": {"cat/1.png": 10}})
    put(small_config, "datasets.digits.root", "elsewhere")
    assert listing.saved(Study(small_config), tmp_path) == {}


def test_a_folder_that_is_not_there_has_an_empty_listing(small_config, tmp_path):
    put(small_config, "datasets.digits", {"kind": "image_folder", "root": str(tmp_path / "photos"), "size": 8})
    assert listing.found(Study(small_config)) == {"digits": {}}


def test_a_dataset_without_a_folder_has_no_listing(small_config):
    put(small_config, "datasets.fashion", {"kind": "fashion_mnist"})
    put(small_config, "experiments.small.dataset", "fashion")
    assert listing.found(Study(small_config)) == {}


def test_a_dataset_that_no_experiment_uses_is_not_looked_for(photos, small_config):
    put(small_config, "datasets.unused", small_config["datasets"]["digits"])
    assert list(listing.found(Study(small_config))) == ["digits"]


def test_published_files_in_a_folder_are_listed(small_config, tmp_path):
    for name in ("train-images-idx3-ubyte", "notes.txt"):
        (tmp_path / name).write_bytes(bytes(5))
    put(small_config, "datasets.digits", {"kind": "mnist", "root": str(tmp_path)})
    assert listing.found(Study(small_config)) == {"digits": {"train-images-idx3-ubyte": 5}}


def test_names_that_are_no_text_are_listed_saved_and_in_the_key(photos, small_config, tmp_path):
    study = Study(small_config)
    before = key_now(small_config)
    with open(os.fsencode(photos / "cat") + b"/\xff\n.png", "wb"):
        pass
    listing.save(study, tmp_path, listing.found(study))
    assert len(listing.saved(study, tmp_path)["digits"]) == 4
    assert key_now(small_config) != before


def test_a_folder_below_home_may_be_written_with_a_tilde(photos, small_config, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    put(small_config, "datasets.digits.root", "~/photos")
    assert listing.found(Study(small_config)) == {"digits": {"cat/1.png": 10, "cat/2.png": 20, "dog/1.png": 30}}
