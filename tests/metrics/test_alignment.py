"""CKA and Procrustes distance against their definitions, under symmetries and on collapsed models."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes

from equal_losses.metrics import alignment
from equal_losses.metrics.alignment import PARTS, ModelFeatures, compare, compare_models
from equal_losses.running.errors import InputError


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


def compared_as_one_class(first, second):
    return compared(first, second, np.zeros(len(first), dtype=int))["features"]


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
def test_features_of_one_class_are_centred(seed, dimensions):
    first, second, _ = pair_of_models(seed, dimensions=dimensions)
    centred = [matrix - matrix.mean(axis=0) for matrix in (first, second)]
    measured = compared_as_one_class(first, second)
    assert measured["cka"] == pytest.approx(direct_cka(*centred), rel=1e-9)
    assert measured["procrustes"] == pytest.approx(direct_procrustes(*centred), abs=1e-9)


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


def test_independent_features_are_far_apart():
    measured = compared_as_one_class(*np.random.default_rng(0).normal(size=(2, 5000, 4)))
    assert measured["cka"] < 0.01
    assert measured["procrustes"] > 1.9


def test_columns_of_zeros_add_nothing():
    features = np.random.default_rng(0).normal(size=(500, 4))
    padded = np.pad(features, [(0, 0), (0, 3)])
    assert compared_as_one_class(features, padded) == pytest.approx({"cka": 1, "procrustes": 0}, abs=1e-9)


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
def test_a_part_without_any_variation_is_not_a_number_and_the_others_are(dtype):
    _, second, labels = pair_of_models(5, samples=70, dtype=dtype)
    values = np.unique(labels, return_inverse=True)[1]
    exact = (np.random.default_rng(1).normal(size=(4, 6)) / 3).astype(dtype)[values]  # their sums are rounded
    measured = compared(exact, second, labels)
    assert np.isnan([*measured["within_class"].values()]).all()
    assert np.isfinite([*measured["features"].values(), *measured["class_means"].values()]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_features_have_no_part_that_is_a_number(dtype):
    first, second, labels = pair_of_models(5, samples=70, dtype=dtype)
    constant = np.full_like(second, 0.1)
    for pair in ((first, constant), (constant, first)):
        assert np.isnan([[*measures.values()] for measures in compared(*pair, labels).values()]).all()


def test_the_mean_of_a_single_class_has_no_variation():
    first, second, labels = pair_of_models(5, samples=70)
    measured = compared(first, second, np.zeros_like(labels))
    assert np.isnan([*measured["class_means"].values()]).all()
    assert measured["features"] == pytest.approx(measured["within_class"])


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


def test_models_are_compared_pair_by_pair_and_part_by_part():
    first, second, labels = pair_of_models(7)
    untrained = np.random.default_rng(0).normal(size=(60, 5))
    features = {("CE", 1): first, ("FL", 2): second, (None, 1): untrained}
    pairs = [("losses_other_seed", ("CE", 1), ("FL", 2)), ("untrained", ("CE", 1), (None, 1))]
    expected = [
        {"comparison": comparison, "part": part}
        | {"first_loss": "CE", "first_seed": 1, "second_loss": loss, "second_seed": seed}
        | compared(first, other, labels)[part]
        for comparison, loss, seed, other in (
            ("losses_other_seed", "FL", 2, second),
            ("untrained", "untrained", 1, untrained),
        )
        for part in PARTS
    ]
    assert list(compare_models(features, labels, pairs)) == expected


FIRST, SECOND, LABELS = pair_of_models(6)
BAD_FEATURES = {
    "one axis": (FIRST[0], LABELS, r"features: shape \(6,\)"),
    "no samples": (FIRST[:0], LABELS[:0], r"features: shape \(0, 6\)"),
    "integers": (FIRST.astype(int), LABELS, "features: shape .*int64; expected N x d floating"),
    "too few labels": (FIRST, LABELS[:-1], r"labels: shape \(59,\)"),
    "labels that are no integers": (FIRST, LABELS / 2, "labels: .*float64; expected 60 integers"),
    "a value that is not finite": (np.where(FIRST[3, 1] == FIRST, np.inf, FIRST), LABELS, "features: .*not finite"),
}


@pytest.mark.parametrize(("features", "labels", "message"), BAD_FEATURES.values(), ids=BAD_FEATURES)
@np.errstate(invalid="ignore")
def test_bad_features_are_named(features, labels, message):
    with pytest.raises(InputError, match=message):
        ModelFeatures(features, labels)


@pytest.mark.parametrize(
    ("second", "labels", "samples"),
    [(SECOND[:-1], LABELS[:-1], 59), (SECOND, LABELS[::-1], 60)],
    ids=["fewer samples", "samples in another order"],
)
def test_models_of_other_samples_are_not_compared(second, labels, samples):
    with pytest.raises(InputError, match=f"second: {samples} samples with other labels than the 60 of first"):
        compare(ModelFeatures(FIRST, LABELS), ModelFeatures(second, labels))
