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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .decisions import Decisions, squared_distances
from .errors import InputError

# A block of differences stays in the processor's cache, and its sums in float32 are short.
BLOCK_BYTES = 2**22
BLOCK_ROWS = 2048


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

    The products are in the features' precision (float32 for anything but float64), but of differences that are small
    where the features have collapsed, so that nothing cancels. The first pass takes class means and variances from
    h - a_k, with a_k a rough mean of the class. The second takes the coordinates p = P^T (h - h_k) in an orthonormal
    basis P of the class means' span, U, which the classifier's rows may complete (see `decisions`):

    - trace(Sigma_W Sigma_B^+) = mean of ||S^-1 U^T (h - h_k)||^2, with U S V^T the thin SVD of the columns
      mu_k / sqrt(K) (then Sigma_B = U S^2 U^T). The rank is at most min(K - 1, d), because the n_k mu_k sum to zero;
      the singular value beyond it is rounding noise and is dropped by count, not by a tolerance.
    - The nearest class mean and the predicted class follow from the coordinates where these leave no doubt; for the
      other samples they are computed in float64.
    """
    features, labels, weight, bias = _checked(features, labels, weight, bias)
    classes, dimension = weight.shape
    counts = np.bincount(labels, minlength=classes)
    means, variances, reach = _class_moments(features, labels, counts)

    global_mean = counts @ means / counts.sum()
    left, singular_values, _ = np.linalg.svd((means - global_mean).T / math.sqrt(classes), full_matrices=False)
    rank = min(classes - 1, dimension)
    # Class means that coincide to the last bit of float64 leave a smaller rank still, as a pseudo-inverse has it.
    rank = min(rank, int(np.sum(singular_values > singular_values[0] * max(means.shape) * np.finfo(float).eps)))
    span, singular_values = left[:, :rank], singular_values[:rank]
    decisions = Decisions(means, global_mean, np.sqrt(variances), span, weight, bias, _precision(features))

    whitening = (1 / singular_values).astype(_precision(features))
    whitened = 0.0
    disagreements = correct = 0
    for rows, coordinates in _coordinates(features, labels, means, decisions.basis, rank):
        scores = coordinates[:, :rank] * whitening
        whitened += float(np.vecdot(scores, scores).sum(dtype=np.float64))
        nearest, predicted = decisions.of(features[rows], labels[rows], coordinates, reach[rows])
        disagreements += int(np.sum(nearest != predicted))
        correct += int(np.sum(predicted == labels[rows]))

    samples = len(labels)
    return FeatureStatistics(
        class_counts=counts,
        class_means=means,
        within_class_variances=variances,
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
    # Columns of R in Q R are as far apart as those of the matrix, and shorter.
    between = squared_distances(np.linalg.qr(centered_means.T, mode="r").T)
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
            "cdnv": np.mean((variances[first] + variances[second]) / (2 * between[first, second])),
            "trace_ratio": (counts @ variances / counts.sum()) / np.mean(mean_norms**2),
        }
    return {name: float(value) for name, value in metrics.items()}


def simplex_etf(classes: int) -> np.ndarray:
    """(I - 11^T/K) / sqrt(K - 1), K x K, float64: the Gram matrix of a simplex ETF at unit Frobenius norm."""
    return (np.eye(classes) - 1 / classes) / math.sqrt(classes - 1)


def _distance_to_etf(matrix: np.ndarray) -> float:
    return np.linalg.norm(matrix / np.linalg.norm(matrix) - simplex_etf(len(matrix)))


def _class_moments(
    features: np.ndarray, labels: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class means (K x d), within-class variances (K) and bounds of ||h - h_k|| (N), all float64.

    Sums of h - a_k, with a_k the mean of a few samples of the class: in float32 they are as good as the spread of the
    features is small, where sums of h would be off by the last bits of the features.

    The two halves of the rows on two threads: unlike a product, a difference that NumPy takes has one thread, which
    leaves half of the memory's rate unused.
    """
    references = _rough_means(features, labels, counts)
    halves = slice(len(labels) // 2), slice(len(labels) // 2, None)
    with ThreadPoolExecutor(len(halves)) as threads:
        parts = list(threads.map(lambda half: _sums_and_squares(features[half], labels[half], references), halves))
    sums = sum(part for part, _ in parts)
    squares = np.concatenate([part for _, part in parts])
    if not np.isfinite(sums).all():
        raise InputError("features: a value is not finite; allowed: finite numbers")
    shifts = sums / counts[:, None]  # h_k - a_k
    squared_shifts = np.vecdot(shifts, shifts)
    variances = np.bincount(labels, squares, minlength=len(counts)) / counts - squared_shifts
    bounds = np.sqrt(squares) + np.sqrt(squared_shifts)[labels]
    return references + shifts, np.maximum(variances, 0), bounds


def _sums_and_squares(
    features: np.ndarray, labels: np.ndarray, references: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of h - a_k over each class (K x d) and ||h - a_k||^2 (N), float64."""
    from scipy import sparse  # a tenth of a second, which those who only read tables need not wait for

    sums, squares = np.zeros(references.shape), np.zeros(len(labels))
    differences = _Differences(features, labels, references)
    for rows in _blocks(features):
        difference = differences.of(rows)
        # A dense one-hot matrix would take K times the operations.
        one_hot = sparse.csc_array(
            (np.ones(len(difference), difference.dtype), labels[rows], np.arange(len(difference) + 1)),
            shape=(len(references), len(difference)),
        )
        sums += one_hot @ difference
        squares[rows] = np.vecdot(difference, difference)
    return sums, squares


def _rough_means(features: np.ndarray, labels: np.ndarray, counts: np.ndarray, samples: int = 8) -> np.ndarray:
    """K x d in the precision of the products: the mean of a few samples of each class, from all over the data.

    The more samples, the less an outlier among them can do: the squares of h - a_k are at most 1 + n_k / samples^2
    times those of h - h_k.
    """
    chosen = np.empty(len(counts), dtype=np.intp)
    chosen[labels] = np.arange(len(labels))  # the last sample of each class
    sums = np.zeros((len(counts), features.shape[1]))
    for start in range(samples):
        numbers = np.arange(start, len(labels), samples)
        chosen[labels[numbers]] = numbers
        sums += features[chosen]
    return (sums / samples).astype(_precision(features))


def _coordinates(
    features: np.ndarray, labels: np.ndarray, means: np.ndarray, basis: np.ndarray, rank: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of rows and their P^T (h - h_k); the first `rank` columns of the basis P are those whose squares count.

    P^T h - P^T h_k saves a block of differences, but is off by about the precision e times ||h||. Such errors do not
    depend on h - h_k, so they change a sum of N r squares of size s^2 by a share of (e ||h|| / s)^2 and of
    e ||h|| / (s sqrt(N r)). Where either could reach 1e-7, and from there on, differences from h_k come first, and
    P^T takes care of what rounding has left of h_k.
    """
    precision = _precision(features)
    rounded_basis, rounded_means = basis.astype(precision), means.astype(precision)
    of_means, of_roundings = ((part @ basis).astype(precision) for part in (means, means - rounded_means))
    error = np.finfo(precision).eps * np.linalg.norm(means, axis=1).max()
    least = error**2 * max(1e7, 1e14 / max(1, len(features) * rank))
    differences, differences_first = _Differences(features, labels, rounded_means), False
    for rows in _blocks(features):
        if not differences_first:
            coordinates = features[rows].astype(precision, copy=False) @ rounded_basis
            coordinates -= of_means[labels[rows]]
            wanted = coordinates[:, :rank]
            differences_first = bool((np.einsum("nr,nr->r", wanted, wanted) < least * len(wanted)).any())
        if differences_first:
            coordinates = differences.of(rows) @ rounded_basis
            coordinates -= of_roundings[labels[rows]]
        yield rows, coordinates


def _precision(features: np.ndarray) -> np.dtype:
    """Of the products: that of the features where these are float32 or float64, else float32."""
    return features.dtype if features.dtype in (np.float32, np.float64) else np.dtype(np.float32)


class _Differences:
    """h - a_k of blocks of rows, in one buffer: fresh memory for every block costs as much as the difference."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, references: np.ndarray) -> None:
        self.features, self.labels, self.references = features, labels, references
        self.buffer = np.empty((_rows_of_a_block(features), features.shape[1]), references.dtype)

    def of(self, rows: slice) -> np.ndarray:
        """B x d, until the next call."""
        labels = self.labels[rows]
        # The labels are in range; with mode "raise", NumPy would take a buffer of its own.
        difference = np.take(self.references, labels, axis=0, out=self.buffer[: len(labels)], mode="clip")
        return np.subtract(self.features[rows], difference, out=difference)


def _blocks(features: np.ndarray) -> Iterator[slice]:
    edges = [*range(0, len(features), _rows_of_a_block(features)), len(features)]
    return (slice(start, stop) for start, stop in pairwise(edges))


def _rows_of_a_block(features: np.ndarray) -> int:
    return min(BLOCK_ROWS, max(1, BLOCK_BYTES // (features.shape[1] * _precision(features).itemsize)))


def _checked(
    features: np.ndarray, labels: np.ndarray, weight: np.ndarray, bias: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    features, labels, weight = np.asarray(features), np.asarray(labels), np.asarray(weight)
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
