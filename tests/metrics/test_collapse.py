"""The metrics against their definitions in float64, on exact simplex ETFs, under symmetries and on bad input."""

from __future__ import annotations

import doctest
import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equal_losses.metrics import collapse
from equal_losses.metrics import feature_statistics as statistics
from equal_losses.metrics.collapse import collapse_metrics, simplex_etf
from equal_losses.metrics.feature_statistics import feature_statistics
from equal_losses.running.errors import InputError

from .clusters import clustered


def direct_metrics(features, labels, weight, bias):
    """Every metric as its definition reads, in float64, with d x d matrices and a pseudo-inverse."""
    features, weight = features.astype(np.float64), weight.astype(np.float64)
    classes, samples = len(weight), len(labels)
    means = np.stack([features[labels == k].mean(axis=0) for k in range(classes)])
    centered = means - features.mean(axis=0)
    within = sum(np.outer(h - means[k], h - means[k]) for h, k in zip(features, labels, strict=True)) / samples
    between = sum(np.outer(mu, mu) for mu in centered) / classes
    # hermitian, and cut between the last of the K - 1 eigenvalues and rounding noise
    inverse = np.linalg.pinv(between, rcond=1e-12, hermitian=True)
    etf = (np.eye(classes) - np.ones((classes, classes)) / classes) / np.sqrt(classes - 1)

    def distance(matrix):
        return np.linalg.norm(matrix / np.linalg.norm(matrix) - etf)

    logits = features @ weight.T + bias
    nearest = ((features[:, None, :] - means[None]) ** 2).sum(axis=2).argmin(axis=1)
    norms, weight_norms = np.linalg.norm(centered, axis=1), np.linalg.norm(weight, axis=1)
    variances = [np.mean(((features[labels == k] - means[k]) ** 2).sum(axis=1)) for k in range(classes)]
    pairs = list(itertools.combinations(range(classes), 2))
    free = weight - weight.mean(axis=0)
    return {
        "nc1": np.trace(within @ inverse) / classes,
        "nc2": distance(weight @ weight.T),
        "nc3": distance(weight @ centered.T),
        "nc2_centered": distance(free @ free.T),
        "nc3_centered": distance(free @ centered.T),
        "nc4": np.mean(logits.argmax(axis=1) != nearest),
        "global_mean_logit_norm": np.linalg.norm(weight @ features.mean(axis=0) + bias),
        "equinorm_means": norms.std() / norms.mean(),
        "equinorm_weights": weight_norms.std() / weight_norms.mean(),
        "equiangularity": np.mean(
            [abs(centered[i] @ centered[j] / (norms[i] * norms[j]) + 1 / (classes - 1)) for i, j in pairs]
        ),
        "self_duality": np.linalg.norm(weight / np.linalg.norm(weight) - centered / np.linalg.norm(centered)) ** 2,
        "cdnv": np.mean([(variances[i] + variances[j]) / (2 * ((means[i] - means[j]) ** 2).sum()) for i, j in pairs]),
        "trace_ratio": np.trace(within) / np.trace(between),
    }


CASES = {
    "more dimensions than classes": {"classes": 5, "dimension": 12, "per_class": 20},
    "more classes than dimensions": {"classes": 9, "dimension": 4, "per_class": 20},
    "as many dimensions as classes": {"classes": 6, "dimension": 6, "per_class": 15},
    "two classes": {"classes": 2, "dimension": 5, "per_class": 30},
    "unbalanced classes": {"classes": 4, "dimension": 7, "per_class": [40, 3, 1, 17]},
    "unbalanced, as many dimensions as classes": {"classes": 4, "dimension": 4, "per_class": [40, 3, 1, 17]},
    "one sample per class": {"classes": 5, "dimension": 8, "per_class": 1},
    "nearly collapsed": {"classes": 5, "dimension": 12, "per_class": 20, "noise": 1e-3},
    "several blocks of rows": {"classes": 3, "dimension": 900, "per_class": 500},
    "many samples": {"classes": 5, "dimension": 12, "per_class": 4000},
    "overlapping classes": {"classes": 5, "dimension": 12, "per_class": 400, "noise": 2},
}


def assert_equals_its_definition(features, labels, weight, bias):
    expected = direct_metrics(features, labels, weight, bias)
    measured = collapse_metrics(features, labels, weight, bias)
    assert measured.keys() == expected.keys()
    # In float32 the features themselves are rounded; both sides see the same rounded features.
    for name, value in expected.items():
        assert measured[name] == pytest.approx(value, rel=1e-6, abs=1e-12), name


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_metrics_equal_their_definitions(case, dtype):
    assert_equals_its_definition(*clustered(**case, dtype=dtype))


@pytest.mark.parametrize("order", [np.argsort, np.flip], ids=["sorted labels", "labels in mixed order"])
@pytest.mark.parametrize("rows", [1, 7, 99])
def test_where_a_block_of_rows_ends_does_not_matter(rows, order, monkeypatch):
    features, labels, weight, bias = clustered(5, 12, [40, 3, 1, 17, 38])
    monkeypatch.setattr(statistics, "BLOCK_BYTES", rows * features[0].nbytes)
    positions = order(labels) if order is np.argsort else np.arange(len(labels))
    assert_equals_its_definition(features[positions], labels[positions], weight, bias)


@pytest.mark.parametrize("noise", [1e-1, 1e-2, 1e-3, 2e-4])
@pytest.mark.parametrize("per_class", [20, 4000])
def test_collapsed_features_far_from_the_origin_lose_nothing(noise, per_class):
    features, labels, weight, bias = clustered(5, 12, per_class, noise=noise, dtype=np.float64)
    # At 500 the last bit of a float32 is worth 3e-5.
    assert_equals_its_definition((features + 500).astype(np.float32), labels, weight, bias)


@pytest.mark.parametrize("spread_out", [0, 3])
def test_one_class_may_be_spread_out_and_the_others_collapsed(spread_out, monkeypatch):
    features, _, weight, bias = clustered(4, 12, 4000, noise=1e-4)
    labels = np.repeat(np.arange(4), 4000)
    spread = np.where(labels == spread_out, 0.3, 1e-4)[:, None]
    noise = np.random.default_rng(spread_out).normal(size=features.shape)
    features = (weight[labels] + spread * noise).astype(np.float32)
    monkeypatch.setattr(statistics, "BLOCK_BYTES", 1000 * features[0].nbytes)
    assert_equals_its_definition(features, labels, weight, bias)


def test_half_precision_features_are_read_as_they_are():
    features, labels, weight, bias = clustered(5, 12, 20)
    assert_equals_its_definition(features.astype(np.float16), labels, weight, bias)


def test_everything_vanishes_on_an_exact_simplex_etf():
    classes, dimension = 6, 10
    frame = np.linalg.qr(np.random.default_rng(0).normal(size=(dimension, classes)))[0]
    means = 3 * (simplex_etf(classes) * np.sqrt(classes - 1)) @ frame.T
    labels = np.tile(np.arange(classes), 4)
    measured = collapse_metrics(means[labels] + 0.7, labels, 2 * means)
    measured.pop("global_mean_logit_norm")
    assert measured == pytest.approx(dict.fromkeys(measured, 0), abs=1e-10)


@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3), shift=st.floats(-5, 5))
@settings(max_examples=30, deadline=None)
def test_metrics_are_invariant_under_rotation_scale_and_shift_of_features(seed, scale, shift):
    features, labels, weight, _ = clustered(4, 6, 10, seed=seed, dtype=np.float64)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))[0]
    # nc4 compares predictions, to which a shift of the features makes a difference
    names = set(collapse_metrics(features, labels, weight)) - {"nc4", "global_mean_logit_norm"}
    before = collapse_metrics(features, labels, weight)
    after = collapse_metrics(scale * features @ rotation + shift, labels, 5 * weight @ rotation)
    for name in names:
        assert after[name] == pytest.approx(before[name], rel=1e-6), name


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_samples_does_not_matter(seed):
    features, labels, weight, bias = clustered(4, 6, 10, seed=seed, dtype=np.float64)
    order = np.random.default_rng(seed).permutation(len(labels))
    shuffled = collapse_metrics(features[order], labels[order], weight, bias)
    assert shuffled == pytest.approx(collapse_metrics(features, labels, weight, bias), rel=1e-9)


def test_nc1_is_never_negative_and_small_where_collapse_is_nearly_complete():
    features, labels, weight, _ = clustered(10, 64, 50, noise=1e-6)
    assert 0 <= collapse_metrics(features, labels, weight)["nc1"] < 1e-8


def test_coinciding_class_means_have_an_infinite_nc1():
    features = np.ones((6, 3))
    measured = collapse_metrics(features, np.array([0, 1, 2, 0, 1, 2]), np.eye(3))
    assert measured["nc1"] == np.inf


def test_accuracy_is_that_of_the_classifier():
    features, labels, weight, bias = clustered(5, 12, 20)
    expected = np.mean((features @ weight.T + bias).argmax(axis=1) == labels)
    assert feature_statistics(features, labels, weight, bias).accuracy == expected


def spread_over_all_classes(seed, misalignment):
    """Samples between the class means of others, and a classifier that is more or less aligned with the means."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(6), 200)
    means = random.normal(size=(6, 30))
    towards = random.uniform(0, 1, size=(len(labels), 1)) * (means[random.permutation(labels)] - means[labels])
    features = means[labels] + towards + 0.3 * random.normal(size=towards.shape) + 5
    weight = means + misalignment * random.normal(size=means.shape)
    return features.astype(np.float32), labels, weight, -5 * weight.sum(axis=1)


def assert_decides_as_float64(features, labels, weight, bias):
    statistics = feature_statistics(features, labels, weight, bias)
    exact = features.astype(np.float64)
    predicted = (exact @ weight.T + bias).argmax(axis=1)
    nearest = ((exact[:, None] - statistics.class_means) ** 2).sum(axis=2).argmin(axis=1)
    assert statistics.accuracy == np.mean(predicted == labels)
    assert statistics.nearest_center_disagreement == np.mean(nearest != predicted)


@given(seed=st.integers(0, 10_000), misalignment=st.sampled_from([0, 1e-3, 0.05, 0.3, 1, 100]))
@settings(max_examples=40, deadline=None)
def test_decisions_are_those_of_float64(seed, misalignment):
    assert_decides_as_float64(*spread_over_all_classes(seed, misalignment))


@pytest.mark.parametrize("between", ["class means", "rows of the classifier"])
def test_samples_at_a_boundary_are_decided_in_float64(between):
    """On which side of a boundary 250 samples of class 0 are, products in float32 cannot tell."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 1000)
    means = random.normal(size=(2, 41)) + 5
    weight = means + random.normal(size=means.shape)
    middle = means.mean(axis=0)
    bias = np.array([0, (weight[0] - weight[1]) @ middle])
    first, second = means if between == "class means" else weight
    normal = (first - second) / np.linalg.norm(first - second)
    steps = 100 * random.normal(size=(1000, 41))
    steps[:250] -= np.outer((steps[:250] - (middle - means[0])) @ normal, normal)
    # Opposite steps leave the class means, and so the boundary, where they are.
    features = means[labels] + np.stack([steps, -steps], axis=1).reshape(2000, 41)
    assert_decides_as_float64(features.astype(np.float32), labels, weight, bias)


@pytest.mark.parametrize(
    "rows", [[0, 0, 1], [0, 0, 0], [2, 2, 2]], ids=["two equal rows", "equal rows", "rows of zeros"]
)
def test_a_classifier_that_cannot_tell_classes_apart_predicts_the_first(rows):
    features, labels, _, _ = clustered(3, 8, 50, dtype=np.float64)
    weight = np.concatenate([np.random.default_rng(0).normal(size=(2, 8)), np.zeros((1, 8))])[rows]
    expected = np.mean((features @ weight.T).argmax(axis=1) == labels)
    assert feature_statistics(features, labels, weight).accuracy == expected


def test_features_on_disk_are_read_in_blocks(tmp_path):
    samples, dimension = 40_000, 128
    features, labels, weight, bias = clustered(4, dimension, samples // 4)
    np.save(tmp_path / "features.npy", features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    expected = collapse_metrics(features, labels, weight, bias)  # imports SciPy, which is no matter of blocks
    tracemalloc.start()
    try:
        measured = collapse_metrics(mapped, labels, weight, bias)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < features.nbytes / 4
    assert measured == expected


def test_the_example_of_the_documentation_holds():
    assert doctest.testmod(collapse) == (0, 5)


FEATURES, LABELS, WEIGHT, BIAS = clustered(3, 4, 5)
BAD_INPUT = {
    "a value that is not finite": (
        {"features": np.where(FEATURES[3, 1] == FEATURES, np.nan, FEATURES)},
        "features: a value is not finite; expected finite numbers",
    ),
    "features of one axis": ({"features": FEATURES[0]}, r"features: shape \(4,\), float32; expected N x d"),
    "a label beyond the classes": ({"labels": np.where(LABELS == 1, 3, LABELS)}, "labels: 3 occurs; allowed: 0..2"),
    "a negative label": ({"labels": LABELS - 1}, "labels: -1 occurs; allowed: 0..2"),
    "a class without samples": ({"labels": np.where(LABELS == 1, 0, LABELS)}, "labels: class 1 has no sample"),
    "too few labels": ({"labels": LABELS[:-1]}, r"labels: shape \(14,\), int64; expected 15 integers"),
    "labels that are no integers": ({"labels": LABELS / 1}, "labels: .*float64; expected 15 integers"),
    "a weight of fewer columns": ({"weight": WEIGHT[:, :3]}, r"weight: shape \(3, 3\); expected K x 4"),
    "an infinite weight": ({"weight": WEIGHT * np.inf}, "weight: a value is not finite"),
    "a bias of fewer classes": ({"bias": BIAS[:2]}, r"bias: shape \(2,\); expected \(3,\)"),
}


@pytest.mark.parametrize(("changed", "message"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_named(changed, message):
    arguments = {"features": FEATURES, "labels": LABELS, "weight": WEIGHT, "bias": BIAS} | changed
    with pytest.raises(InputError, match=message):
        collapse_metrics(**arguments)
