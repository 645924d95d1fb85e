"""CKA and Procrustes distance against their definitions, under symmetries, on collapsed models and as a rule."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_collapse import alignment, configuration, training, weights
from neural_collapse.alignment import PARTS, ModelFeatures, compare, linear_cka, procrustes_distance
from neural_collapse.errors import InputError
from neural_collapse.features import mapped_features
from neural_collapse.preparation import PreparedDataset
from neural_collapse.study import Study
from scipy.linalg import orthogonal_procrustes

from .conftest import ROOT, Workflow


def parts_of(features, labels):
    """Each part as a matrix, float64, centred as its name says."""
    features = features.astype(np.float64)
    means = {k: features[labels == k].mean(axis=0) for k in np.unique(labels)}
    return {
        "features": features - features.mean(axis=0),
        "class_means": np.stack(list(means.values())) - np.mean(list(means.values()), axis=0),
        "within_class": features - np.stack([means[k] for k in labels]),
    }


def direct_cka(first, second):
    """From the N x N kernels, by the Hilbert-Schmidt independence criterion."""

    def hsic(a, b):
        centering = np.eye(len(a)) - 1 / len(a)
        return np.trace(a @ a.T @ centering @ b @ b.T @ centering)

    return hsic(first, second) / np.sqrt(hsic(first, first) * hsic(second, second))


def direct_procrustes(first, second):
    """What is left after the best orthogonal map, the narrower of the two filled up with zeros."""
    width = max(first.shape[1], second.shape[1])
    first, second = (
        np.pad(matrix / np.linalg.norm(matrix), [(0, 0), (0, width - matrix.shape[1])]) for matrix in (first, second)
    )
    rotation, _ = orthogonal_procrustes(first, second)
    return np.linalg.norm(first @ rotation - second) ** 2


def pair_of_models(seed, *, samples=60, dimensions=(6, 6), classes=4, noise=1.0, dtype=np.float64):
    """Features of two models that share something, and labels of unequal frequency that are not 0..K-1."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.resize(np.repeat(np.arange(classes), np.arange(1, classes + 1)), samples))
    shared = random.normal(size=(samples, 3))
    features = []
    for dimension in dimensions:
        means = random.normal(size=(classes, dimension)) + 2
        within = shared @ random.normal(size=(3, dimension)) + random.normal(size=(samples, dimension))
        features.append((means[labels] + noise * within).astype(dtype))
    return *features, 3 * labels + 5


def compared(first, second, labels):
    return compare(ModelFeatures(first, labels), ModelFeatures(second, labels))


def random_rotation(seed, dimension):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dimension, dimension)))[0]


seeds = st.integers(0, 10_000)


@given(
    seed=seeds,
    samples=st.integers(2, 40),
    dimensions=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    classes=st.integers(2, 6),
    dtype=st.sampled_from([np.float32, np.float64]),
)
@settings(max_examples=60, deadline=None)
def test_every_part_equals_its_definition(seed, samples, dimensions, classes, dtype):
    *features, labels = pair_of_models(
        seed, samples=max(samples, 3 * classes), dimensions=dimensions, classes=classes, dtype=dtype
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment, "BLOCK_ROWS", 7)
        measured = compared(*features, labels)
    assert tuple(measured) == PARTS
    expected = [parts_of(matrix, labels) for matrix in features]
    for part in PARTS:
        first, second = (parts[part] for parts in expected)
        assert measured[part]["cka"] == pytest.approx(direct_cka(first, second), rel=1e-9), part
        assert measured[part]["procrustes"] == pytest.approx(direct_procrustes(first, second), abs=1e-9), part


@given(seed=seeds, dimensions=st.tuples(st.integers(1, 9), st.integers(1, 9)))
@settings(max_examples=30, deadline=None)
def test_without_labels_the_features_are_centred(seed, dimensions):
    first, second, _ = pair_of_models(seed, dimensions=dimensions)
    centred = [matrix - matrix.mean(axis=0) for matrix in (first, second)]
    assert linear_cka(first, second) == pytest.approx(direct_cka(*centred), rel=1e-9)
    assert procrustes_distance(first, second) == pytest.approx(direct_procrustes(*centred), abs=1e-9)


@given(seed=seeds, scale=st.floats(1e-6, 1e6), shift=st.floats(-5, 5))
@settings(max_examples=40, deadline=None)
def test_rotation_scale_and_shift_make_no_difference(seed, scale, shift):
    first, second, labels = pair_of_models(seed, dimensions=(6, 4))
    moved = scale * (first @ random_rotation(seed, 6) + shift)
    before, after = compared(first, second, labels), compared(moved, second, labels)
    copies = compared(first, moved, labels)
    for part in PARTS:
        assert after[part] == pytest.approx(before[part], abs=1e-9), part
        assert copies[part] == pytest.approx({"cka": 1, "procrustes": 0}, abs=1e-9), part


@given(seed=seeds, dimensions=st.tuples(st.integers(1, 9), st.integers(1, 9)), noise=st.sampled_from([1e-6, 1.0, 1e3]))
@settings(max_examples=40, deadline=None)
def test_both_measures_are_symmetric_and_keep_their_ranges(seed, dimensions, noise):
    first, second, labels = pair_of_models(seed, dimensions=dimensions, noise=noise)
    there, back = compared(first, second, labels), compared(second, first, labels)
    # Rounding would lead two equal models past the ends.
    equal = compared(first, first, labels)
    for part in PARTS:
        assert there[part] == pytest.approx(back[part], abs=1e-9)
        for measures in (there[part], equal[part]):
            assert 0 <= measures["cka"] <= 1
            assert 0 <= measures["procrustes"] <= 2


def test_independent_features_are_far_apart_and_equal_ones_are_not():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 5000, 4))
    assert linear_cka(first, second) < 0.01
    assert procrustes_distance(first, second) > 1.9
    assert linear_cka(first, first) == pytest.approx(1)
    # Columns of zeros add nothing.
    assert procrustes_distance(first, np.pad(first, [(0, 0), (0, 3)])) == pytest.approx(0, abs=1e-9)


def test_collapse_hides_nothing_of_the_residuals():
    """Residuals a millionth of the class means: a difference of Gram matrices has lost their digits."""
    first, second, labels = pair_of_models(3, samples=400, dimensions=(8, 8), noise=1.0)
    collapsed, within = [], []
    for features in (first, second):
        residuals = parts_of(features, labels)["within_class"]
        collapsed.append(features - residuals + 1e-6 * residuals)
        within.append(residuals)
    measured = compared(*collapsed, labels)
    assert measured["within_class"]["cka"] == pytest.approx(direct_cka(*within), rel=1e-6)
    assert measured["within_class"]["procrustes"] == pytest.approx(direct_procrustes(*within), rel=1e-6)

    def by_subtraction(a, b):
        a, b = (parts_of(matrix, labels) for matrix in (a, b))
        return a["features"].T @ b["features"] - (a["features"] - a["within_class"]).T @ (
            b["features"] - b["within_class"]
        )

    one, two = collapsed
    cross, own, others = (np.linalg.norm(by_subtraction(*pair)) for pair in ((one, two), (one, one), (two, two)))
    assert cross**2 / (own * others) != pytest.approx(direct_cka(*within), rel=1e-6)


def test_float32_features_are_compared_to_the_last_digit_that_they_have():
    first, second, labels = pair_of_models(4, samples=400, dimensions=(8, 5), noise=1e-6, dtype=np.float32)
    within = [parts_of(features, labels)["within_class"] for features in (first, second)]
    assert compared(first, second, labels)["within_class"]["cka"] == pytest.approx(direct_cka(*within), rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_part_without_any_variation_is_not_a_number(dtype):
    first, second, labels = pair_of_models(5, samples=70, dtype=dtype)
    values = np.unique(labels, return_inverse=True)[1]
    exact = (np.random.default_rng(1).normal(size=(4, 6)) / 3).astype(dtype)[values]  # their sums are rounded
    measured = compared(exact, second, labels)
    assert np.isnan([*measured["within_class"].values()]).all()
    assert np.isfinite([*measured["features"].values(), *measured["class_means"].values()]).all()
    constant = np.full_like(second, 0.1)
    measured = compared(first, constant, labels)
    assert np.isnan([[*measures.values()] for measures in measured.values()]).all()
    assert np.isnan(linear_cka(first, constant))
    assert np.isnan(procrustes_distance(constant, first))
    one_class = compared(first, second, np.zeros_like(labels))
    assert np.isnan(one_class["class_means"]["cka"])
    assert one_class["features"] == pytest.approx(one_class["within_class"])


def test_features_on_disk_are_read_in_blocks(tmp_path):
    """Peak memory of 20,000 samples: a few blocks, and not the features, let alone 20,000 x 20,000."""
    samples, dimension = 20_000, 64
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, samples)
    mapped = []
    for name in ("first", "second"):
        np.save(tmp_path / f"{name}.npy", random.normal(size=(samples, dimension)).astype(np.float32))
        mapped.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    compared(*mapped, labels)  # what is imported or allocated once
    tracemalloc.start()
    try:
        measured = compared(*mapped, labels)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * alignment.BLOCK_ROWS * dimension * 8 < samples * dimension * 8
    assert measured == compared(*map(np.array, mapped), labels)


def test_bad_input_is_named():
    first, second, labels = pair_of_models(6)
    with_nan = first.copy()
    with_nan[3, 1] = np.inf
    for call, message in (
        (lambda: linear_cka(first, second[:-1]), "second: 59 samples .* 60 of first"),
        (lambda: compare(ModelFeatures(first, labels), ModelFeatures(second, labels[::-1])), "second: 60 samples"),
        (lambda: linear_cka(first[0], second), r"features: shape \(6,\)"),
        (lambda: linear_cka(first[:0], second[:0]), r"features: shape \(0, 6\)"),
        (lambda: linear_cka(first, second.astype(int)), "features: shape .*int64; allowed: N x d floating"),
        (lambda: ModelFeatures(first, labels[:-1]), r"labels: shape \(59,\)"),
        (lambda: ModelFeatures(first, labels / 2), "labels: .*float64; allowed: 60 integers"),
    ):
        with pytest.raises(InputError, match=message):
            call()
    with pytest.raises(InputError, match="not finite"), np.errstate(invalid="ignore"):
        procrustes_distance(second, with_nan)


def test_features_are_those_of_evaluation_by_the_normalisation_of_their_split(digits, small_run, tmp_path):
    plain = small_run().settings
    shifted = small_run(test_normalization={"mean": [0.9], "std": [0.2]}).settings
    models = {"plain": (plain, None), "shifted": (shifted, None)}
    for split, same in (("train", True), ("test", False)):
        mapped = mapped_features(models, digits, split, tmp_path, device=torch.device("cpu"))
        for array in mapped.values():
            assert isinstance(array, np.memmap)
            assert (array.dtype, array.shape) == (np.float32, (len(digits.labels(split)), 16))
        assert np.array_equal(mapped["plain"], mapped["shifted"]) == same


# What is compared in an experiment


def test_the_largest_models_are_compared_and_every_control_is_there(small_config):
    small_config["experiments"]["small"] |= {"widths": [0.5, 0.25], "epochs": [7, 3], "seeds": [1, 2, 5]}
    small_config["losses"]["LS"] = {"kind": "label_smoothing", "smoothing": 0.1}
    small_config["experiments"]["small"]["losses"] = ["CE", "FL", "LS"]
    experiment = Study(small_config).experiments["small"]
    assert {(run.width, run.epochs) for run in experiment.aligned_runs} == {(0.5, 7)}
    assert len(experiment.aligned_runs) == 3 * 3
    assert Counter(comparison for comparison, _, _ in experiment.alignments) == {
        "losses": 3 * 3,  # pairs of losses x seeds
        "losses_other_seed": 3 * 6,  # x ordered pairs of seeds
        "seeds": 3 * 3,  # losses x pairs of seeds
        "untrained": 9,
    }
    assert len({frozenset(models) for _, *models in experiment.alignments}) == len(experiment.alignments)
    for comparison, (loss, seed), (other_loss, other_seed) in experiment.alignments:
        if comparison == "untrained":
            assert (other_loss, other_seed) == (None, seed)
        else:
            expected = {(False, True): "losses", (False, False): "losses_other_seed", (True, False): "seeds"}
            assert comparison == expected[loss == other_loss, seed == other_seed]


@pytest.mark.parametrize(
    ("losses", "seeds", "comparisons"),
    [
        (["CE"], [1], {"untrained"}),
        (["CE"], [1, 2], {"untrained", "seeds"}),
        (["CE", "FL"], [1], {"untrained", "losses"}),
    ],
)
def test_what_cannot_be_compared_is_left_out(small_config, losses, seeds, comparisons):
    small_config["experiments"]["small"] |= {"losses": losses, "seeds": seeds}
    experiment = Study(small_config).experiments["small"]
    assert {comparison for comparison, _, _ in experiment.alignments} == comparisons
    assert experiment.alignment_minutes(1) > 0


def test_the_key_knows_the_runs_in_use_and_no_others(small_config):
    def key() -> str:
        return Study(small_config).experiments["small"].alignment_key

    before = key()
    small_config["experiments"]["small"] |= {"widths": [0.5, 0.125], "epochs": [1, 7], "figures": []}
    assert key() == before
    small_config["experiments"]["small"]["training"]["weight_decay"] = 0.1
    assert key() != before


def test_the_table_of_a_tuned_experiment_needs_the_adopted_and_the_trained_runs(tmp_path):
    paper = Workflow(tmp_path, configuration.load([ROOT / "config" / "paper.yaml"]))
    planned = paper.planned("results/tables/cifar100/alignment.csv")
    assert planned["align_features"] == 1
    assert planned["adopt_candidate"] == 4  # of four losses at the largest width and budget, the seed of the tuning
    assert planned["train"] == 4 * 2


# The rule


COLUMNS = ["experiment", "width", "epochs", "comparison", "split", "part"]
COLUMNS += ["first_loss", "first_seed", "second_loss", "second_seed", "cka", "procrustes"]
TABLE = "results/tables/small/alignment.csv"


@torch.inference_mode()
def features_by_hand(run, dataset, split, path):
    """Pixels to floats, mean 0 and standard deviation 1 a channel, through the network in one batch."""
    network = training.build_network(run.settings, dataset)
    if path is not None:
        network.load_state_dict(weights.load(path)[0])
    mean, std = (torch.tensor(dataset.manifest[key]) for key in ("pixel_mean", "pixel_std"))
    pixels = torch.from_numpy(dataset.images(split)).double() / 255
    return network.eval().backbone(((pixels - mean) / std).float().permute(0, 3, 1, 2)).double().numpy()


def test_the_rule_measures_the_trained_and_the_untrained_networks(finished, tmp_path):
    workflow = Workflow(tmp_path, finished.config)
    shutil.copytree(finished.directory / "results", tmp_path / "results")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / TABLE).unlink(missing_ok=True)
    assert workflow.planned(TABLE) == {"align_features": 1}
    workflow.run(TABLE, TMPDIR=str(scratch))
    assert not list(scratch.rglob("*.npy"))
    assert workflow.planned(TABLE) == {}

    table = pd.read_csv(tmp_path / TABLE)
    assert table.columns.tolist() == COLUMNS
    assert set(table["experiment"]) == {"small"}
    assert set(table["width"]) == {0.5}
    assert set(table["epochs"]) == {7}
    assert table.notna().all(axis=None)
    pairs = table.groupby(["comparison", "first_loss", "second_loss"])[["split", "part"]].value_counts()
    assert pairs.groupby(level=[0, 1, 2]).sum().to_dict() == {
        ("losses", "CE", "FL"): 6,
        ("untrained", "CE", "untrained"): 6,
        ("untrained", "FL", "untrained"): 6,
    }
    assert (pairs == 1).all()
    assert (table.loc[table["comparison"] == "untrained", "cka"] < 0.99).all()

    dataset = PreparedDataset.open(tmp_path / "results/datasets/digits/manifest.json")
    runs = {run.loss: run for run in Study(workflow.config).experiments["small"].aligned_runs}
    for split in ("train", "test"):
        features = {
            loss: features_by_hand(run, dataset, split, tmp_path / run.directory / "final.safetensors")
            for loss, run in runs.items()
        }
        features["untrained"] = features_by_hand(runs["FL"], dataset, split, None)
        parts = {name: parts_of(array, dataset.labels(split)) for name, array in features.items()}
        for row in table[table["split"] == split].itertuples():
            first, second = parts[row.first_loss][row.part], parts[row.second_loss][row.part]
            assert row.cka == pytest.approx(direct_cka(first, second), abs=1e-5)
            assert row.procrustes == pytest.approx(direct_procrustes(first, second), abs=1e-5)


def test_one_tuned_run_is_compared_with_its_untrained_network(workflow):
    workflow.config["experiments"]["small"] |= {"losses": ["CE"], "widths": [0.25], "epochs": [1]}
    candidates = {"candidates": [0.0005, 0.5], "seeds": [1]}
    workflow.config["experiments"]["small"]["training"]["weight_decay"] = candidates
    workflow.run(TABLE)
    table = pd.read_csv(workflow.directory / TABLE)
    assert len(table) == 2 * 3
    assert set(table["comparison"]) == {"untrained"}
    record = json.loads((workflow.directory / "results/runs/small/CE/width0.25/epochs1/seed1/run.json").read_text())
    assert record["settings"]["weight_decay"] in candidates["candidates"]
    # Whoever asks for the table first and for the figures later trains nothing twice.
    assert not {"train", "train_candidate", "extract_candidate_features"} & set(workflow.planned())
