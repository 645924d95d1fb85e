"""Neural-collapse metrics of last-layer features, in NumPy.

Two steps: `feature_statistics` reads the N x d features in two passes over blocks of rows and keeps what the metrics
need (K x d at the most, never d x d or N x N); `metrics_from_statistics` turns that into numbers. `collapse_metrics`
does both.

Notation (paper, Section 4): h_{k,i} is the feature of sample i of class k, h_k the mean of class k, h_G the mean of
all samples, mu_k = h_k - h_G, W the K x d classifier with bias b.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .errors import InputError

BLOCK_BYTES = 2**21  # a block of rows and its residuals stay in the processor's cache


@dataclass(frozen=True)
class FeatureStatistics:
    """What the metrics need to know of N features.

    Attributes:
        class_counts: K, int64, samples of each class.
        class_means: K x d, float64, h_k.
        within_class_variances: K, float64, the mean of ||h_{k,i} - h_k||^2 over a class, in squared feature units.
        whitened_within_class_scatter: trace(Sigma_W Sigma_B^+), dimensionless; infinite where all class means coincide.
        nearest_center_disagreement: share of samples whose nearest class mean is not the class that W h + b predicts.
        accuracy: share of samples for which W h + b predicts the label.
        weight: K x d, float64.
        bias: K, float64.
    """

    class_counts: np.ndarray
    class_means: np.ndarray
    within_class_variances: np.ndarray
    whitened_within_class_scatter: float
    nearest_center_disagreement: float
    accuracy: float
    weight: np.ndarray
    bias: np.ndarray


def collapse_metrics(
    features: np.ndarray, labels: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None
) -> dict[str, float]:
    """All metrics of features under a linear classifier; arguments as in `feature_statistics`."""
    return metrics_from_statistics(feature_statistics(features, labels, weight, bias))


def feature_statistics(
    features: np.ndarray, labels: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None
) -> FeatureStatistics:
    """Read features in two passes and return their statistics.

    Args:
        features: N x d, floating point; a memory-mapped array is read block by block.
        labels: N integers in 0..K-1, every class at least once.
        weight: K x d.
        bias: K, zero if None.

    Raises:
        InputError: where shapes do not match, a value is not finite, a label is out of range or a class is empty.

    The first pass sums each class in float64. The second works on residuals r = h - h_k, so that nothing cancels
    however far the features have collapsed:

    - trace(Sigma_W Sigma_B^+) = mean of ||S^-1 U^T r||^2, with U S V^T the thin SVD of the columns mu_k / sqrt(K)
      (then Sigma_B = U S^2 U^T). The rank is at most min(K - 1, d), because the n_k mu_k sum to zero; the singular
      value beyond it is rounding noise and is dropped by count, not by a tolerance.
    - ||h - h_j||^2 = ||r||^2 + 2 r.(h_k - h_j) + ||h_k - h_j||^2 orders the class means by distance.
    - W h + b = W r + (W h_k + b).
    """
    features, labels, weight, bias = _checked(features, labels, weight, bias)
    classes, dimension = weight.shape
    counts = np.bincount(labels, minlength=classes)
    means = _class_means(features, labels, counts)

    global_mean = counts @ means / counts.sum()
    left, singular_values, _ = np.linalg.svd((means - global_mean).T / math.sqrt(classes), full_matrices=False)
    rank = min(classes - 1, dimension)
    # Class means that coincide to the last bit of float64 leave a smaller rank still, as a pseudo-inverse has it.
    rank = min(rank, int(np.sum(singular_values > singular_values[0] * max(means.shape) * np.finfo(float).eps)))
    whitening = left[:, :rank] / singular_values[:rank]

    logits_of_means = means @ weight.T + bias
    squared_distances = _squared_distances(means)

    compute = features.dtype if features.dtype in (np.float32, np.float64) else np.dtype(np.float32)
    projections = np.concatenate([whitening, means.T, weight.T], axis=1).astype(compute)
    block_means = means.astype(compute)
    squared_residuals = np.zeros(classes)
    whitened = 0.0
    disagreements = correct = 0
    for rows in _blocks(features):
        block_labels = labels[rows]
        residual = features[rows] - block_means[block_labels]
        projected = residual @ projections
        squared_residuals += np.bincount(block_labels, np.einsum("nd,nd->n", residual, residual), minlength=classes)
        whitened += float(np.einsum("nr,nr->", projected[:, :rank], projected[:, :rank], dtype=np.float64))
        products = projected[:, rank : rank + classes]  # r.h_j; the terms without j leave the order alone
        to_means = squared_distances[block_labels] - 2 * products
        predicted = (logits_of_means[block_labels] + projected[:, rank + classes :]).argmax(axis=1)
        disagreements += int(np.sum(to_means.argmin(axis=1) != predicted))
        correct += int(np.sum(predicted == block_labels))

    samples = len(labels)
    return FeatureStatistics(
        class_counts=counts,
        class_means=means,
        within_class_variances=squared_residuals / counts,
        whitened_within_class_scatter=whitened / samples if rank else math.inf,
        nearest_center_disagreement=disagreements / samples,
        accuracy=correct / samples,
        weight=weight,
        bias=bias,
    )


def metrics_from_statistics(statistics: FeatureStatistics) -> dict[str, float]:
    """The metrics, all dimensionless; zero is full collapse for each but `global_mean_logit_norm`.

    - nc1: trace(Sigma_W Sigma_B^+) / K (paper, Section 4).
    - nc2, nc3: distance of W W^T and of W [mu_1 .. mu_K] from the simplex ETF, normalised (paper, Section 4);
      the `_centered` forms take the mean row off W first, as the released code does.
    - nc4: share of samples on which the classifier and the nearest class mean disagree (Papyan, Han, Donoho 2020).
    - global_mean_logit_norm: ||W h_G + b||, which the released code calls NC4; in logit units.
    - equinorm_means, equinorm_weights: standard deviation over mean of ||mu_k|| and of ||w_k|| (Papyan et al. 2020).
    - equiangularity: mean over k != l of |cos(mu_k, mu_l) + 1/(K-1)| (Papyan et al. 2020).
    - self_duality: ||W^T / ||W||_F - M / ||M||_F||_F^2 with M = [mu_1 .. mu_K] (Papyan et al. 2020).
    - cdnv: mean over pairs of (Var_i + Var_j) / (2 ||h_i - h_j||^2) (Galanti, Gyorgy, Hutter 2021).
    - trace_ratio: tr(Sigma_W) / tr(Sigma_B) (Tirer, Huang, Niles-Weed 2023).

    A ratio whose denominator is zero is infinite or not a number, as in floating point.
    """
    counts, means, weight = statistics.class_counts, statistics.class_means, statistics.weight
    variances = statistics.within_class_variances
    classes = len(counts)
    global_mean = counts @ means / counts.sum()
    centered_means = means - global_mean
    centered_weight = weight - weight.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_norms = np.linalg.norm(centered_means, axis=1)
        weight_norms = np.linalg.norm(weight, axis=1)
        cosines = (centered_means @ centered_means.T) / np.outer(mean_norms, mean_norms)
        off_diagonal = ~np.eye(classes, dtype=bool)
        first, second = np.triu_indices(classes, k=1)
        metrics = {
            "nc1": statistics.whitened_within_class_scatter / classes,
            "nc2": _distance_to_etf(weight @ weight.T),
            "nc3": _distance_to_etf(weight @ centered_means.T),
            "nc2_centered": _distance_to_etf(centered_weight @ centered_weight.T),
            "nc3_centered": _distance_to_etf(centered_weight @ centered_means.T),
            "nc4": statistics.nearest_center_disagreement,
            "global_mean_logit_norm": np.linalg.norm(weight @ global_mean + statistics.bias),
            "equinorm_means": mean_norms.std() / mean_norms.mean(),
            "equinorm_weights": weight_norms.std() / weight_norms.mean(),
            "equiangularity": np.abs(cosines[off_diagonal] + 1 / (classes - 1)).mean(),
            "self_duality": np.linalg.norm(
                weight / np.linalg.norm(weight) - centered_means / np.linalg.norm(centered_means)
            )
            ** 2,
            "cdnv": np.mean((variances[first] + variances[second]) / (2 * _squared_distances(means)[first, second])),
            "trace_ratio": (counts @ variances / counts.sum()) / np.mean(mean_norms**2),
        }
    return {name: float(value) for name, value in metrics.items()}


def simplex_etf(classes: int) -> np.ndarray:
    """(I - 11^T/K) / sqrt(K - 1), K x K, float64: the Gram matrix of a simplex ETF at unit Frobenius norm."""
    return (np.eye(classes) - 1 / classes) / math.sqrt(classes - 1)


def _distance_to_etf(matrix: np.ndarray) -> float:
    return np.linalg.norm(matrix / np.linalg.norm(matrix) - simplex_etf(len(matrix)))


def _squared_distances(means: np.ndarray) -> np.ndarray:
    """K x K. Differences first, a row at a time: a Gram matrix would cancel, all differences at once fill K x K x d."""
    return np.stack([((means - mean) ** 2).sum(axis=1) for mean in means])


def _class_means(features: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """K x d, float64. A one-hot product sums the rows of each class."""
    sums = np.zeros((len(counts), features.shape[1]))
    for rows in _blocks(features):
        block = features[rows].astype(np.float64)
        one_hot = (labels[rows] == np.arange(len(counts))[:, None]).astype(np.float64)
        sums += one_hot @ block
    if not np.isfinite(sums).all():
        raise InputError("features: a value is not finite; allowed: finite numbers")
    return sums / counts[:, None]


def _blocks(features: np.ndarray) -> Iterator[slice]:
    rows = max(1, BLOCK_BYTES // (features.shape[1] * 8))
    edges = [*range(0, len(features), rows), len(features)]
    return (slice(start, stop) for start, stop in pairwise(edges))


def _checked(
    features: np.ndarray, labels: np.ndarray, weight: np.ndarray, bias: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    features, labels, weight = np.asanyarray(features), np.asarray(labels), np.asarray(weight)
    if features.ndim != 2 or not np.issubdtype(features.dtype, np.floating):
        raise InputError(f"features: shape {features.shape}, {features.dtype}; allowed: N x d floating-point numbers")
    if weight.ndim != 2 or weight.shape[1] != features.shape[1] or len(weight) < 2:
        raise InputError(
            f"weight: shape {weight.shape}; allowed: K x {features.shape[1]} with K >= 2, as the features have "
            f"{features.shape[1]} columns"
        )
    classes = len(weight)
    if labels.shape != features.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"labels: shape {labels.shape}, {labels.dtype}; allowed: {len(features)} integers, one a row of features"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise InputError(f"labels: {wrong} occurs; allowed: 0..{classes - 1}, as the weight has {classes} rows")
    empty = np.flatnonzero(np.bincount(labels, minlength=classes) == 0)
    if len(empty):
        raise InputError(f"labels: class {empty[0]} has no sample; allowed: at least one sample a class")
    bias = np.zeros(classes) if bias is None else np.asarray(bias)
    if bias.shape != (classes,):
        raise InputError(f"bias: shape {bias.shape}; allowed: ({classes},), one a row of the weight")
    for name, array in (("weight", weight), ("bias", bias)):
        if not np.isfinite(array).all():
            raise InputError(f"{name}: a value is not finite; allowed: finite numbers")
    return features, labels.astype(np.intp, copy=False), weight.astype(np.float64), bias.astype(np.float64)
