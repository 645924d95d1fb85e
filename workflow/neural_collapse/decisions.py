"""Which class mean is nearest to a sample, and which class a linear classifier predicts for it.

Both cost N K d operations each if every sample is compared with every class. Coordinates of the samples in the span of
the class means, which the metrics need anyway, settle nearly all of them for N K^2 operations or none.
"""

from __future__ import annotations

import numpy as np

DOUBTFUL = -1


class Decisions:
    """Nearest class means and predicted classes, by the cheapest of three ways that leaves no doubt.

    The columns of P are an orthonormal basis of the span of the class means, U, and where much of the classifier's
    rows is outside of it, of these too. With p = P^T (h - h_k) for a sample h of class k, m_j = P^T mu_j, w_j the
    classifier's rows less their mean (which changes no prediction) and t_j = P^T w_j:

    1. Both are class k where h is so close to h_k that no boundary can lie between, by Cauchy-Schwarz.
    2. With q = p + m_k, the nearest mean has the largest q.m_j - ||m_j||^2 / 2 and the predicted class the largest
       q.t_j + w_j.h_G + b_j, up to ||w_j - P t_j|| ||h - h_k||.
    3. Where the two largest are closer than that, or than rounding, both are computed from h in float64.

    Attributes:
        basis: P, d x r, float64; the columns of U first.
    """

    def __init__(
        self,
        means: np.ndarray,
        global_mean: np.ndarray,
        spreads: np.ndarray,
        span: np.ndarray,
        weight: np.ndarray,
        bias: np.ndarray,
        precision: np.dtype,
    ) -> None:
        """All arguments but `precision` are float64.

        Args:
            means: K x d, h_k. global_mean: d, h_G. spreads: K, the root of the mean of ||h - h_k||^2.
            span: d x rank, U.
            weight: K x d. bias: K.
            precision: of the coordinates that `of` is given.
        """
        self.means, self.mean_norms, self.weight = means, np.linalg.norm(means, axis=1), weight
        # The coordinates are off by a few times the precision; a hundred times leaves no doubt.
        self.rounding = 100 * np.finfo(precision).eps
        self.squared_distances = squared_distances((means - global_mean) @ span)
        self.mean_radius = np.sqrt(_with_diagonal(self.squared_distances, np.inf).min(axis=1)) / 2
        self.logits_of_means = means @ weight.T + bias

        centered_weight = weight - weight.mean(axis=0)
        outside = self._take_basis(span, centered_weight)
        # A matter of speed alone: more columns for every sample, or the third way for many samples.
        if np.mean(2 * self.outside_share * spreads < self.logit_radius) < 0.95:
            _, singular_values, right = np.linalg.svd(outside, full_matrices=False)
            right = right[singular_values > 1e-10 * np.linalg.norm(weight)]
            self._take_basis(np.concatenate([span, right.T], axis=1), centered_weight)

        mean_coordinates = (means - global_mean) @ self.basis
        logits_of_global_mean = centered_weight @ global_mean + bias
        self.largest_mean = np.linalg.norm(mean_coordinates, axis=1).max()
        self.largest_weight = np.linalg.norm(self.weight_coordinates, axis=1).max()
        self.largest_logit = np.abs(logits_of_global_mean).max()
        self.mean_coordinates = mean_coordinates.astype(precision)
        self.half_squares = (np.vecdot(mean_coordinates, mean_coordinates) / 2).astype(precision)
        self.weight_coordinates = self.weight_coordinates.astype(precision)
        self.logits_of_global_mean = logits_of_global_mean.astype(precision)

    def _take_basis(self, basis: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Take P, and for each class how far from h_k the classifier still predicts k; return w_j - P t_j.

        It does within `logit_radius` if a distance outside of the basis counts `outside_share` times. Of rows of W
        that coincide in the basis nothing can be said.
        """
        self.basis = basis
        self.weight_coordinates = weight @ basis
        outside = weight - self.weight_coordinates @ basis.T
        self.outside_norms = np.linalg.norm(outside, axis=1)
        lengths = np.sqrt(squared_distances(self.weight_coordinates))  # ||t_k - t_j||
        leads = np.diag(self.logits_of_means)[:, None] - self.logits_of_means
        outside_lengths = np.add.outer(self.outside_norms, self.outside_norms)
        radii = np.divide(leads, lengths, out=np.full_like(leads, -np.inf), where=lengths > 0)
        shares = np.divide(outside_lengths, lengths, out=np.zeros_like(leads), where=lengths > 0)
        self.logit_radius = _with_diagonal(radii, np.inf).min(axis=1)
        self.outside_share = shares.max(axis=1)
        return outside

    def of(
        self, features: np.ndarray, labels: np.ndarray, coordinates: np.ndarray, reach: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Nearest class mean and predicted class of B samples, each B integers.

        Args:
            features: B x d. labels: B. coordinates: B x r, p. reach: B, ||h - h_k|| or more.
        """
        rounding = self.rounding * (reach + self.mean_norms[labels])
        distances = np.sqrt(np.vecdot(coordinates, coordinates)) + rounding
        near = distances < self.mean_radius[labels]
        near &= distances + self.outside_share[labels] * reach < self.logit_radius[labels]
        nearest, predicted = labels.copy(), labels.copy()
        (far,) = np.nonzero(~near)
        if len(far):
            far_nearest, far_predicted = self._by_coordinates(coordinates[far], labels[far], reach[far], rounding[far])
            nearest[far], predicted[far] = far_nearest, far_predicted
            for decided, exactly in ((nearest, self._nearest_exactly), (predicted, self._predicted_exactly)):
                doubtful = far[decided[far] == DOUBTFUL]
                if len(doubtful):
                    decided[doubtful] = exactly(features[doubtful] - self.means[labels[doubtful]], labels[doubtful])
        return nearest, predicted

    def _by_coordinates(
        self, coordinates: np.ndarray, labels: np.ndarray, reach: np.ndarray, rounding: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The second way; DOUBTFUL where the third has to decide."""
        from_global_mean = coordinates + self.mean_coordinates[labels]  # q
        rounding = rounding + self.rounding * self.largest_mean
        logit_error = rounding * self.largest_weight + self.rounding * self.largest_logit
        logit_error += self.outside_norms.max() * reach
        return (
            _largest(from_global_mean @ self.mean_coordinates.T - self.half_squares, rounding * self.largest_mean),
            _largest(from_global_mean @ self.weight_coordinates.T + self.logits_of_global_mean, logit_error),
        )

    def _nearest_exactly(self, residuals: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """With r = h - h_k, ||h - h_j||^2 = ||r||^2 + 2 r.(h_k - h_j) + ||h_k - h_j||^2."""
        return (self.squared_distances[labels] - 2 * residuals @ self.means.T).argmin(axis=1)

    def _predicted_exactly(self, residuals: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """W h + b = W r + (W h_k + b)."""
        return (self.logits_of_means[labels] + residuals @ self.weight.T).argmax(axis=1)


def squared_distances(points: np.ndarray) -> np.ndarray:
    """K x K. Differences first, a row at a time: a Gram matrix would cancel, all differences at once fill K x K x d."""
    return np.stack([((points - point) ** 2).sum(axis=1) for point in points])


def _largest(scores: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Column of each row's largest score, DOUBTFUL where the second is within the errors of both; spends the scores."""
    rows = np.arange(len(scores))
    columns = scores.argmax(axis=1)
    largest = scores[rows, columns]
    scores[rows, columns] = -np.inf
    return np.where(largest - scores.max(axis=1) > 2 * errors, columns, DOUBTFUL)


def _with_diagonal(matrix: np.ndarray, value: float) -> np.ndarray:
    return np.where(np.eye(len(matrix), dtype=bool), value, matrix)
