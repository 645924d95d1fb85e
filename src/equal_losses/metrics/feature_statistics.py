"""What the metrics need to know of last-layer features, in NumPy: two passes over blocks of rows.

What is kept is K x d at most, never d x d or N x N.

Notation (paper, Section 4): h_{k,i} is the feature of sample i of class k, h_k the mean of class k, h_G the mean of
all samples, mu_k = h_k - h_G, W the K x d classifier with bias b.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from equal_losses.running.errors import InputError

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

    The first pass takes class means and variances from h - a_k, with a_k a rough mean of the class. The second takes
    one product per block: of h - h_k with U, where U S V^T is the thin SVD of the columns mu_k / sqrt(K), and with
    W unless its rows are nearly in the span of U. Then, with p = U^T (h - h_k):

    - trace(Sigma_W Sigma_B^+) = mean of ||S^-1 p||^2, because Sigma_B = U S^2 U^T.
    - The nearest class mean is the one with the largest p.U^T h_j - ||h_k - h_j||^2 / 2, because ||h - h_j||^2 =
      ||h - h_k||^2 - 2 (h - h_k).(h_j - h_k) + ||h_k - h_j||^2.
    - The predicted class is the one with the largest logit, W (h - h_k) + (W h_k + b).

    The products are in the features' precision (float32 for anything but float64), but of differences that are small
    where the features have collapsed, so that nothing cancels; sums over samples are in float64. Rounding changes a
    logit by less than (d + 4) e ||h|| ||w_j||, with e the precision and d the terms of a product, and what decides the
    nearest class mean by as much with mu_j in place of w_j. Where the two largest are closer than twice that, the
    sample is decided from h in float64.
    """
    features, labels, weight, bias = _checked(features, labels, weight, bias)
    classes, dimension = weight.shape
    counts = np.bincount(labels, minlength=classes)
    buffer = _buffer(features)
    means, variances, reach = _class_moments(features, labels, counts, buffer)

    centered_means = means - counts @ means / counts.sum()
    span, singular_values = _span(centered_means)
    rank = len(singular_values)
    mean_coordinates = centered_means @ span
    half_distances = squared_distances(mean_coordinates) / 2
    free_weight = weight - weight.mean(axis=0)  # predicts the same
    weight_coordinates = free_weight @ span
    logits_of_means = means @ free_weight.T + bias
    outside = np.linalg.norm(free_weight - weight_coordinates @ span.T, axis=1)
    spreads = np.sqrt(variances)
    aligned = rank == dimension or _span_decides(weight_coordinates, outside, logits_of_means, spreads)
    columns = span if aligned else np.concatenate([span, free_weight.T], axis=1)

    rounding = (dimension + 4) * np.finfo(buffer.dtype).eps
    lengths = reach + np.linalg.norm(means, axis=1).max()  # ||h|| or more
    proximity_errors = rounding * np.linalg.norm(centered_means, axis=1).max() * lengths
    logit_errors = rounding * (np.linalg.norm(free_weight, axis=1).max() * lengths + np.abs(bias).max())
    if aligned:
        logit_errors += outside.max() * reach

    whitening = (1 / singular_values).astype(buffer.dtype)
    whitened = 0.0
    disagreements = correct = 0
    for rows, products in _products(features, labels, means, columns, rank, buffer):
        scores = products[:, :rank] * whitening
        whitened += float(np.vecdot(scores, scores).sum(dtype=np.float64))
        products = products.astype(np.float64)
        coordinates, own = products[:, :rank], labels[rows]
        proximities = coordinates @ mean_coordinates.T - half_distances[own]
        logits = (coordinates @ weight_coordinates.T if aligned else products[:, rank:]) + logits_of_means[own]
        doubtful = _leads(proximities) <= 2 * proximity_errors[rows]
        doubtful |= _leads(logits) <= 2 * logit_errors[rows]
        if doubtful.any():
            own = own[doubtful]
            differences = features[rows][doubtful] - means[own]
            proximities[doubtful] = differences @ centered_means.T - half_distances[own]
            logits[doubtful] = differences @ free_weight.T + logits_of_means[own]
        predicted = logits.argmax(axis=1)
        disagreements += int(np.sum(predicted != proximities.argmax(axis=1)))
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


def squared_distances(points: np.ndarray) -> np.ndarray:
    """K x K. Differences first, a row at a time: a Gram matrix would cancel, all differences at once fill K x K x d."""
    return np.stack([((points - point) ** 2).sum(axis=1) for point in points])


def _span(centered_means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """U (d x r) and the diagonal of S (r): the thin SVD of the columns mu_k / sqrt(K), up to their rank.

    The rank is at most min(K - 1, d), because the n_k mu_k sum to zero; the singular value beyond it is rounding noise
    and is dropped by count, not by a tolerance.
    """
    classes, dimension = centered_means.shape
    left, singular_values, _ = np.linalg.svd(centered_means.T / math.sqrt(classes), full_matrices=False)
    # Class means that coincide to the last bit of float64 leave a smaller rank still, as a pseudo-inverse has it.
    least = singular_values[0] * max(classes, dimension) * np.finfo(float).eps
    rank = min(classes - 1, dimension, int(np.sum(singular_values > least)))
    return left[:, :rank], singular_values[:rank]


def _span_decides(
    weight_coordinates: np.ndarray, outside: np.ndarray, logits_of_means: np.ndarray, spreads: np.ndarray
) -> bool:
    """Whether the rows of W are so nearly in the span of the class means that p alone decides nearly all predictions.

    With t_k = U^T w_k, the boundary between the classes k and j is (lead of k over j at h_k) / ||t_k - t_j|| away from
    h_k in the span; what W has outside of the span, `outside` = ||w_k - U t_k||, moves the boundary by a share of
    ||h - h_k||. That has to be less than half of the distance for 95% of the classes, at the root mean square of
    ||h - h_k||, `spreads`. Where it is more, p would leave too many samples to be decided one by one.
    """
    others = ~np.eye(len(outside), dtype=bool)
    lengths = np.sqrt(squared_distances(weight_coordinates))
    with np.errstate(divide="ignore", invalid="ignore"):
        boundaries = (np.diag(logits_of_means)[:, None] - logits_of_means) / lengths
        shares = np.add.outer(outside, outside) / lengths
        boundaries, shares = (matrix[others].reshape(len(outside), -1) for matrix in (boundaries, shares))
        return bool(np.mean(2 * shares.max(axis=1) * spreads < boundaries.min(axis=1)) >= 0.95)


def _leads(scores: np.ndarray) -> np.ndarray:
    """How far each row's largest score is above the second."""
    second, first = np.partition(scores, -2, axis=1)[:, -2:].T
    return first - second


def _class_moments(
    features: np.ndarray, labels: np.ndarray, counts: np.ndarray, buffer: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class means (K x d), within-class variances (K) and bounds of ||h - h_k|| (N), all float64.

    Sums of h - a_k, with a_k the mean of a few samples of the class: in float32 they are as good as the spread of the
    features is small, where sums of h would be off by the last bits of the features.
    """
    from scipy import sparse  # a tenth of a second, which those who only read tables need not wait for

    references = _rough_means(features, labels, counts).astype(buffer.dtype)
    halves, squares = np.zeros((2, *references.shape)), np.empty(len(labels))  # short sums are less rounded
    middle = len(labels) // 2
    for rows in (*_blocks(0, middle, len(buffer)), *_blocks(middle, len(labels), len(buffer))):
        difference = _differences(features[rows], labels[rows], references, buffer)
        # A dense one-hot matrix would take K times the operations.
        one_hot = sparse.csc_array(
            (np.ones(len(difference), difference.dtype), labels[rows], np.arange(len(difference) + 1)),
            shape=(len(references), len(difference)),
        )
        halves[int(rows.start >= middle)] += one_hot @ difference
        squares[rows] = np.vecdot(difference, difference)
    sums = halves.sum(axis=0)
    if not np.isfinite(sums).all():
        raise InputError("features: a value is not finite; expected finite numbers")
    shifts = sums / counts[:, None]  # h_k - a_k
    squared_shifts = np.vecdot(shifts, shifts)
    variances = np.bincount(labels, squares, minlength=len(counts)) / counts - squared_shifts
    bounds = np.sqrt(squares) + np.sqrt(squared_shifts)[labels]
    return references + shifts, np.maximum(variances, 0), bounds


def _rough_means(features: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """K x d, float64: the mean of a few samples of each class, from all over the data.

    The more samples, the less an outlier among them can do: the squares of h - a_k are at most 1 + n_k / samples^2
    times those of h - h_k.
    """
    samples = 8
    chosen = np.empty(len(counts), dtype=np.intp)
    chosen[labels] = np.arange(len(labels))  # the last sample of each class
    sums = np.zeros((len(counts), features.shape[1]))
    for start in range(samples):
        numbers = np.arange(start, len(labels), samples)
        chosen[labels[numbers]] = numbers
        sums += features[chosen]
    return sums / samples


def _products(
    features: np.ndarray, labels: np.ndarray, means: np.ndarray, columns: np.ndarray, rank: int, buffer: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of rows and their products of h - h_k with columns C; squares are summed of the first `rank` of them.

    C^T h - C^T h_k saves a block of differences, but is off by about the precision e times ||h||. Such errors do not
    depend on h - h_k, so they change a sum of N r squares of size s^2 by a share of (e ||h|| / s)^2 and of
    e ||h|| / (s sqrt(N r)). Where either could reach 1e-7, and from there on, differences from h_k come first, and
    C^T takes care of what rounding has left of h_k.
    """
    precision = buffer.dtype
    rounded_columns, rounded_means = columns.astype(precision), means.astype(precision)
    of_means, of_roundings = ((part @ columns).astype(precision) for part in (means, means - rounded_means))
    error = np.finfo(precision).eps * np.linalg.norm(means, axis=1).max()
    least = error**2 * max(1e7, 1e14 / max(1, len(features) * rank))
    differences_first = False
    for rows in _blocks(0, len(features), len(buffer)):
        if not differences_first:
            products = features[rows].astype(precision, copy=False) @ rounded_columns
            products -= of_means[labels[rows]]
            squared = products[:, :rank]
            differences_first = bool((np.einsum("nr,nr->r", squared, squared) < least * len(squared)).any())
        if differences_first:
            products = _differences(features[rows], labels[rows], rounded_means, buffer) @ rounded_columns
            products -= of_roundings[labels[rows]]
        yield rows, products


def _differences(features: np.ndarray, labels: np.ndarray, references: np.ndarray, buffer: np.ndarray) -> np.ndarray:
    """h - a_k of a block of rows, in the buffer: fresh memory for every block costs more than the differences."""
    # The labels are in range; with mode "raise", NumPy would take a buffer of its own.
    difference = np.take(references, labels, axis=0, out=buffer[: len(labels)], mode="clip")
    return np.subtract(features, difference, out=difference)


def _buffer(features: np.ndarray) -> np.ndarray:
    """Memory for a block of rows, in the precision of the products: the features' if float32 or float64, or float32."""
    precision = features.dtype if features.dtype in (np.float32, np.float64) else np.dtype(np.float32)
    dimension = features.shape[1]
    return np.empty((min(BLOCK_ROWS, max(1, BLOCK_BYTES // (dimension * precision.itemsize))), dimension), precision)


def _blocks(start: int, stop: int, size: int) -> Iterator[slice]:
    return (slice(first, min(first + size, stop)) for first in range(start, stop, size))


def _checked(
    features: np.ndarray, labels: np.ndarray, weight: np.ndarray, bias: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    features, labels, weight = np.asarray(features), np.asarray(labels), np.asarray(weight)
    if features.ndim != 2 or not np.issubdtype(features.dtype, np.floating):
        raise InputError(f"features: shape {features.shape}, {features.dtype}; expected N x d floating-point numbers")
    if weight.ndim != 2 or weight.shape[1] != features.shape[1] or len(weight) < 2:
        raise InputError(
            f"weight: shape {weight.shape}; expected K x {features.shape[1]} with K >= 2, as the features have "
            f"{features.shape[1]} columns"
        )
    classes = len(weight)
    if labels.shape != features.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"labels: shape {labels.shape}, {labels.dtype}; expected {len(features)} integers, one per row of features"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise InputError(f"labels: {wrong} occurs; allowed: 0..{classes - 1}, as the weight has {classes} rows")
    empty = np.flatnonzero(np.bincount(labels, minlength=classes) == 0)
    if len(empty):
        raise InputError(f"labels: class {empty[0]} has no sample; expected at least one sample per class")
    bias = np.zeros(classes) if bias is None else np.asarray(bias)
    if bias.shape != (classes,):
        raise InputError(f"bias: shape {bias.shape}; expected ({classes},), one value per row of the weight")
    for name, array in (("weight", weight), ("bias", bias)):
        if not np.isfinite(array).all():
            raise InputError(f"{name}: a value is not finite; expected finite numbers")
    return features, labels.astype(np.intp, copy=False), weight.astype(np.float64), bias.astype(np.float64)
