"""What would go wrong later is said at once, in one line; what is allowed but unwise is a warning."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from equal_losses.running.errors import InputError
from equal_losses.study import checks, configuration, kinds

from .studies import put

PHOTOS = {"kind": "image_folder", "root": "photos", "size": 8}
RGB = {"mean": [0.5, 0.5, 0.5], "std": [0.1, 0.1, 0.1]}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        # Names that tables or folders take for something else
        *(("losses." + name, {"kind": "cross_entropy"}, f"losses: name {name!r}; tables read it as a missing value or a number") for name in ("NA", "None", "null", "nan", "True", "inf")),
        ("losses.ce", {"kind": "cross_entropy"}, "losses: names 'CE' and 'ce' differ in case alone"),
        ("datasets.Digits", {"kind": "digits", "test_fraction": 0.5}, "datasets: names 'digits' and 'Digits' differ in case alone"),
        # What does not fit the images, the budget or the network
        ("experiments.small.snapshots", [0, 99], "experiments.small.snapshots: 99; expected epochs of the longest budget, at most 7"),
        ("experiments.small.training.crop_padding", 1000, "experiments.small.training.crop_padding: 1000; expected less than the 8 pixels of an image"),
        ("experiments.small.training.normalization", RGB, "experiments.small.training.normalization.mean: 3 numbers for 1 channels; expected 1"),
        ("experiments.small.training.test_normalization", RGB, "experiments.small.training.test_normalization.mean: 3 numbers for 1 channels; expected 1"),
        ("datasets.digits", {"kind": "digits"}, "datasets.digits.test_fraction: missing; this dataset has no test part"),
        ("datasets.digits", {"kind": "mnist", "test_fraction": 0.5}, "datasets.digits.test_fraction: 0.5; this dataset has a test part of its own"),
        ("experiments.small.training.schedule", {"kind": "cosine", "warmup": 3}, "experiments.small.training.schedule.warmup: 3; expected less than the shortest budget, 3"),
        ("experiments.small.training.optimizer", {"kind": "sgd", "momentum": 0, "nesterov": True}, "experiments.small.training.optimizer.nesterov: True with a momentum of 0; expected false, or a momentum above 0"),
        # The theory
        ("theory.landscape", [{"kinds": ["foc"], "classes": 3, "samples": 2, "dim": 5, "strength": 0.02}], "theory.landscape[0].kinds: 'foc'; allowed: arcface, bce"),
        ("theory.bias_sweep.lambda_b", [0, 0.1], "theory.bias_sweep.lambda_b: [0, 0.1]; expected two or more above 0"),
    ],
)  # fmt: skip
def test_what_would_go_wrong_later_is_one_line(small_config, path, value, message):
    put(small_config, path, value)
    with pytest.raises(InputError) as raised:
        configuration.validated(small_config)
    assert raised.value.lines[0].startswith(message)


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("schedule", "def new(epoch, epochs, *, at: tuple[int, ...] = (10, 20)): ..."),
        ("optimizer", "def new(parameters, learning_rate, weight_decay, *, nesterov: bool = True): ..."),
    ],
)
def test_a_new_kind_may_have_a_key_of_a_shipped_one_and_mean_something_else(small_config, monkeypatch, part, source):
    names, tree = kinds.kinds, kinds._tree
    monkeypatch.setattr(kinds, "kinds", lambda package: [*names(package), "new"])
    monkeypatch.setattr(
        kinds, "_tree", lambda package, kind: ast.parse(source) if kind == "new" else tree(package, kind)
    )
    put(small_config, f"experiments.small.training.{part}", {"kind": "new"})
    configuration.validated(small_config)


def test_all_of_it_is_told_at_once(small_config):
    put(small_config, "experiments.small.training.crop_padding", 1000)
    put(small_config, "losses.NA", {"kind": "cross_entropy"})
    with pytest.raises(InputError) as raised:
        configuration.validated(small_config)
    assert [line.partition(":")[0] for line in raised.value.lines] == [
        "losses",
        "experiments.small.training.crop_padding",
    ]


@pytest.mark.parametrize("mean", [[0.5], [0.5, 0.4, 0.3]])
def test_one_number_or_one_for_each_channel_normalises_own_images(small_config, mean):
    put(small_config, "datasets.digits", PHOTOS)
    put(small_config, "experiments.small.training.normalization", {"mean": mean, "std": [0.1]})
    configuration.validated(small_config)


def test_own_images_have_three_channels(small_config):
    put(small_config, "datasets.digits", PHOTOS)
    put(small_config, "experiments.small.training.normalization", {"mean": [0.5, 0.5], "std": [0.1]})
    with pytest.raises(InputError, match="mean: 2 numbers for 3 channels; expected 3"):
        configuration.validated(small_config)


# Images that are not there


def missing(config: dict, listing: dict) -> list[str]:
    return [*checks.missing_images(configuration.validated(config), {"digits": listing}, Path("/nonexistent"))]


def test_a_root_that_is_not_there_is_named(small_config):
    put(small_config, "datasets.digits", {**PHOTOS, "test_fraction": 0.2})
    assert missing(small_config, {}) == [
        "datasets.digits.root: photos: no such folder; expected the folder that has the files"
    ]


@pytest.mark.parametrize(
    ("fraction", "files", "line"),
    [
        (None, {"a/1.png": 9, "b/1.png": 9}, "datasets.digits.test_fraction: missing; this dataset has no test part"),
        (
            0.2,
            {"train/a/1.png": 9, "test/a/1.png": 9},
            "datasets.digits.test_fraction: 0.2; this dataset has a test part",
        ),
    ],
)
def test_a_test_part_is_in_the_images_or_is_taken_from_them(small_config, fraction, files, line):
    put(small_config, "datasets.digits", {**PHOTOS, "test_fraction": fraction})
    (found,) = missing(small_config, files)
    assert found.startswith(line)


def test_images_that_are_as_expected_are_not_spoken_of(small_config):
    put(small_config, "datasets.digits", {**PHOTOS, "test_fraction": 0.2})
    assert missing(small_config, {"a/1.png": 9, "b/1.png": 9}) == []


def test_of_parts_that_are_no_folders_nothing_is_said(small_config):
    """Of a user's dataset of arrays, say, which may have a test part under any name."""
    put(small_config, "datasets.digits", {**PHOTOS, "test_fraction": None})
    assert missing(small_config, {"train_images.npy": 9, "test_images.npy": 9}) == []


# Warnings


def warned(config: dict) -> list[str]:
    return checks.warnings(configuration.validated(config))


def test_a_network_without_more_dimensions_than_classes_is_warned_of(small_config):
    small_config["experiments"]["small"]["widths"] = [0.125, 0.15625, 0.171875]  # 8, 10 and 11 dimensions
    lines = [line for line in warned(small_config) if ".widths" in line]
    assert lines == [
        f"experiments.small.widths: {width:g} gives features of dimension {dimension} for 10 classes; "
        "Theorem 1 assumes fewer classes than dimensions"
        for width, dimension in ((0.125, 8), (0.15625, 10))
    ]


def test_nothing_is_said_of_a_dataset_whose_classes_are_not_known(small_config):
    put(small_config, "datasets.digits", PHOTOS)
    put(small_config, "experiments.small.widths", [0.015625])
    assert [line for line in warned(small_config) if ".widths" in line] == []


@pytest.mark.parametrize(("epochs", "ends"), [(1, "0, 0"), (2, "0, 1")])
def test_a_budget_that_is_too_short_for_its_decays_is_warned_of(small_config, epochs, ends):
    small_config["experiments"]["small"]["epochs"] = [epochs, 7]
    assert warned(small_config) == [
        f"experiments.small.epochs: {epochs} is too short for its decays, which fall on the ends of the epochs {ends}; "
        "the learning rate is not what the schedule says"
    ]


@pytest.mark.parametrize("widths", [[0.5, 0.500000001], [0.3333333, 0.33333334]])
def test_widths_that_are_as_good_as_equal_are_warned_of(small_config, widths):
    small_config["experiments"]["small"]["widths"] = widths
    first, second = widths
    assert warned(small_config) == [
        f"experiments.small.widths: {first} and {second} are as good as equal, and trained one by one"
    ]


def test_candidates_that_are_as_good_as_equal_are_warned_of(small_config):
    put(small_config, "experiments.small.training.weight_decay", {"candidates": [0.01, 0.010000001], "seeds": [1]})
    (line,) = warned(small_config)
    assert line.startswith("experiments.small.training.weight_decay.candidates: 0.01 and 0.010000001 are as good as")


@pytest.mark.parametrize("at", [[], ["3/7", "5/7"], [0.5]])
def test_decays_that_come_one_after_another_are_as_they_should_be(small_config, at):
    put(small_config, "experiments.small.training.schedule", {"kind": "steps", "at": at})
    assert warned(small_config) == []
