"""Whether two models have the same features up to a rotation and a scale, in NumPy.

X (N x d) and Y (N x d') are the features of the same N samples under two models; d and d' may differ. They are read in
blocks of rows, so that memory-mapped arrays of any length will do: what is kept is K x d or d x d', never N x N.

- linear CKA (Kornblith, Norouzi, Lee, Hinton 2019): ||Y^T X||_F^2 / (||X^T X||_F ||Y^T Y||_F), 0..1; 1 is equality up
  to a rotation and a scale.
- orthogonal Procrustes distance (Ding, Denain, Steinhardt 2021) at unit Frobenius norm:
  min over orthogonal Q of ||X Q - Y||_F^2 = 2 - 2 ||X^T Y||_*, 0..2, where ||.||_* is the sum of the singular values; 0
  is equality up to a rotation and a scale. Where d and d' differ, the narrower one is padded with columns of zeros.

Both are taken of three parts, each centred:

- features: X minus the mean of its rows.
- class_means: the K x d means of the classes minus their mean, each class once, whatever its size.
- within_class: X minus the mean of each row's class. Two models whose classes have collapsed to simplex ETFs agree in
  everything else, whatever they learned.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from equal_losses.running.errors import InputError

PARTS = ("features", "class_means", "within_class")
UNTRAINED = "untrained"  # the loss, in a table, of a network before its training

Model = tuple[str | None, int]  # loss and seed of a network; no loss before its training: the same for every loss
BLOCK_ROWS = 2048  # enough of them that a product costs more than its addition to the d x d' sum
# Share of the features' norm that the rounding of float64 may leave of a part that is zero. A single float32 value that
# differs from its neighbours in the last bit leaves more, in up to 10^11 values.
_ROUNDING = 1e-13


class ModelFeatures:
    """Features of one model with what all its comparisons share, computed once: the class means and its own norms.

    Args:
        features: N x d, floating point; a memory-mapped array is read block by block, twice.
        labels: N integers.

    Attributes:
        features: N x d, as they were given.
        classes: N, the index of each sample's class among the K classes that occur.
        class_counts: K.
        class_means: K x d, float64.
        norms: ||X||_F of each part; not a number where the part is zero up to rounding.
        gram_norms: ||X^T X||_F / ||X||_F^2 of each part.

    Raises:
        InputError: where shapes do not match or a value is not finite.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray):
        self.features, labels = _checked(features, labels)
        _, self.classes, self.class_counts = np.unique(labels, return_inverse=True, return_counts=True)
        self.class_means = _class_means(self.features, self.classes, self.class_counts)
        products = _products(self, self)
        squared_norms = {part: np.trace(product) for part, product in products.items()}
        squared_means = np.sum(self.class_means**2, axis=1)
        whole = squared_norms["within_class"] + self.class_counts @ squared_means
        uncentred = {"features": whole, "class_means": squared_means.sum(), "within_class": whole}
        self.norms = {
            part: float(np.sqrt(squared)) if squared > _ROUNDING**2 * uncentred[part] else np.nan
            for part, squared in squared_norms.items()
        }
        self.gram_norms = {
            part: float(np.linalg.norm(product / self.norms[part] ** 2)) for part, product in products.items()
        }

    @property
    def weighted_means(self) -> np.ndarray:
        """K x d: the class means minus the mean of all samples, times the root of the class counts."""
        counts = self.class_counts
        return (self.class_means - counts @ self.class_means / counts.sum()) * np.sqrt(counts)[:, None]

    def residuals(self, rows: slice) -> np.ndarray:
        """A block of rows minus their class means, float64: rounded to float32 they would lose a collapsed model."""
        return self.features[rows] - self.class_means[self.classes[rows]]


def compare(first: ModelFeatures, second: ModelFeatures) -> dict[str, dict[str, float]]:
    """`cka` (0..1) and `procrustes` (0..2) of each of `PARTS`; not a number where a model's part is zero.

    Raises:
        InputError: where the two are not of the same samples.
    """
    if not np.array_equal(first.classes, second.classes):
        raise InputError(
            f"second: {len(second.classes)} samples with other labels than the {len(first.classes)} of first; "
            "expected features of the same samples in the same order"
        )
    measured = {}
    for part, product in _products(first, second).items():
        norm = first.norms[part] * second.norms[part]
        if np.isnan(norm):
            measured[part] = {"cka": np.nan, "procrustes": np.nan}
            continue
        singular_values = np.linalg.svd(product / norm, compute_uv=False)
        cka = np.sum(singular_values**2) / (first.gram_norms[part] * second.gram_norms[part])
        distance = 2 - 2 * np.sum(singular_values)
        # Rounding may lead past the ends of the ranges.
        measured[part] = {"cka": float(min(cka, 1.0)), "procrustes": float(max(distance, 0.0))}
    return measured


def compare_models(
    features: Mapping[Model, np.ndarray], labels: np.ndarray, pairs: Iterable[tuple[str, Model, Model]]
) -> Iterator[dict[str, str | int | float]]:
    """Compare pairs of networks on the same samples; one row per pair and part.

    Args:
        features, labels: as in `ModelFeatures`; mapped where the features do not fit into memory together.
        pairs: the name of the comparison and two networks.

    Yields:
        comparison, part (of `PARTS`), first_loss, first_seed, second_loss, second_seed (the loss is `UNTRAINED` where
        there is none), cka and procrustes (see `compare`).
    """
    models = {model: ModelFeatures(array, labels) for model, array in features.items()}
    for comparison, first, second in pairs:
        for part, measures in compare(models[first], models[second]).items():
            yield {
                "comparison": comparison,
                "part": part,
                "first_loss": first[0] or UNTRAINED,
                "first_seed": first[1],
                "second_loss": second[0] or UNTRAINED,
                "second_seed": second[1],
                **measures,
            }


def _products(first: ModelFeatures, second: ModelFeatures) -> dict[str, np.ndarray]:
    """X^T Y of each part, or for the class means a K x K matrix of the same singular values.

    The product of the whole features is that of the residuals and that of the class means, added. The other way round,
    the residuals as a difference, nothing would be left of a collapsed model.
    """
    within = np.zeros((first.features.shape[1], second.features.shape[1]))
    for rows in _blocks(first.features):
        residuals = first.residuals(rows)
        # The same array twice lets NumPy compute half of a symmetric product.
        within += residuals.T @ (residuals if second is first else second.residuals(rows))
    # With X^T = Q R, X^T Y = Q R R'^T Q'^T.
    centred = [model.class_means - model.class_means.mean(axis=0) for model in (first, second)]
    triangles = [np.linalg.qr(means.T, mode="r") for means in centred]
    return {
        "features": within + first.weighted_means.T @ second.weighted_means,
        "class_means": triangles[0] @ triangles[1].T,
        "within_class": within,
    }


def _class_means(features: np.ndarray, classes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """K x d, float64. A one-hot product sums the rows of each class."""
    sums = np.zeros((len(counts), features.shape[1]))
    for rows in _blocks(features):
        one_hot = (classes[rows] == np.arange(len(counts))[:, None]).astype(np.float64)
        sums += one_hot @ features[rows].astype(np.float64)
    if not np.isfinite(sums).all():
        raise InputError("features: a value is not finite; expected finite numbers")
    return sums / counts[:, None]


def _blocks(features: np.ndarray) -> Iterator[slice]:
    return (slice(start, start + BLOCK_ROWS) for start in range(0, len(features), BLOCK_ROWS))


def _checked(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features, labels = np.asanyarray(features), np.asarray(labels)
    if features.ndim != 2 or not features.size or not np.issubdtype(features.dtype, np.floating):
        raise InputError(f"features: shape {features.shape}, {features.dtype}; expected N x d floating-point numbers")
    if labels.shape != features.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"labels: shape {labels.shape}, {labels.dtype}; expected {len(features)} integers, one per row of features"
        )
    return features, labels
