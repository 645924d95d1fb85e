"""Neural collapse metrics, from what `feature_statistics` keeps of the features; the notation is explained there."""

import math

import numpy as np

from equal_losses.metrics.feature_statistics import FeatureStatistics, feature_statistics, squared_distances


def collapse_metrics(
    features: np.ndarray, labels: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None
) -> dict[str, float]:
    """All metrics of features under a linear classifier.

    Arguments and errors are those of `feature_statistics`; `metrics_from_statistics` defines each metric.

    >>> labels = np.arange(60) % 3
    >>> means = simplex_etf(3)
    >>> noise = np.random.default_rng(0).normal(size=(60, 3))
    >>> metrics = collapse_metrics(means[labels] + 0.3 * noise, labels, weight=means)
    >>> {name: round(metrics[name], 2) for name in ("nc1", "nc2", "nc3", "nc4")}
    {'nc1': 0.38, 'nc2': 0.0, 'nc3': 0.1, 'nc4': 0.07}
    """
    return metrics_from_statistics(feature_statistics(features, labels, weight, bias))


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
