"""Whether losses are equally accurate, and whether collapse predicts accuracy: statistics of the table `runs`.

Nothing here imports PyTorch.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

EQUIVALENT, DIFFERENT, UNDECIDED = "equivalent", "different", "undecided"

COLLAPSE_METRICS = ("nc1", "nc2", "nc3")
# What is held constant when collapse is ranked against accuracy.
CONTROLS = {"nothing": [], "width, epochs": ["width", "epochs"], "width, epochs, loss": ["width", "epochs", "loss"]}


def pairwise_equivalence(runs: pd.DataFrame, *, margin: float, significance: float) -> pd.DataFrame:
    """Compare the test accuracies of every pair of losses at every (width, epochs), paired by seed.

    Two one-sided t tests (TOST, Schuirmann 1987) reject "further apart than the margin", a two-sided t test rejects
    "equal". Over the L losses of an experiment each verdict errs at one of the pairs with a probability of at most
    `significance`: the one-sided tests are made at significance / (L - 1) (Lauzon and Caffo 2009), the two-sided ones
    at significance over the number of pairs (Bonferroni).

    Args:
        runs: a row a run with loss, width, epochs, seed and accuracy_test (a share in 0..1).
        margin: largest difference that counts as none, a share.
        significance: 0..0.5.

    Returns:
        A row a pair and (width, epochs): first_loss, second_loss, seeds (pairs of runs), difference (mean of first less
        second, a share), interval_low and interval_high (it lies within the margin exactly where the one-sided tests
        reject), p_equivalence, p_difference, the levels that they are held against, margin, and the verdict:
        equivalent; otherwise different, if the two-sided test rejects; otherwise undecided. Undecided with no p-value
        is what has fewer than two seeds, or differences without any spread, of which no interval can be made.
    """
    losses = list(dict.fromkeys(runs["loss"]))
    pairs = list(combinations(losses, 2))
    one_sided = significance / max(1, len(losses) - 1)
    two_sided = significance / max(1, len(pairs))
    cells = runs.pivot(index=["experiment", "width", "epochs"], columns=["loss", "seed"], values="accuracy_test")
    parts = []
    for first, second in pairs:
        differences = (cells[first] - cells[second]).to_numpy()
        part = cells.index.to_frame(index=False).assign(
            first_loss=first,
            second_loss=second,
            seeds=differences.shape[1],
            **_tests(differences, margin, one_sided, two_sided),
            margin=margin,
            equivalence_level=one_sided,
            difference_level=two_sided,
        )
        parts.append(part)
    if not parts:
        return pd.DataFrame(columns=_COLUMNS)
    return pd.concat(parts).sort_values(["width", "epochs"], kind="stable")[_COLUMNS].reset_index(drop=True)


_TESTED = ("interval_low", "interval_high", "p_equivalence", "p_difference")
_COLUMNS = [
    *("experiment", "width", "epochs", "first_loss", "second_loss", "seeds", "verdict", "difference"),
    *_TESTED,
    *("margin", "equivalence_level", "difference_level"),
]


def _tests(differences: np.ndarray, margin: float, one_sided: float, two_sided: float) -> dict[str, np.ndarray]:
    """Tests of the rows of an array (... x seeds)."""
    difference = differences.mean(axis=1)
    # A spread of rounding errors is none: the accuracies differ by the same number of images.
    testable = np.ptp(differences, axis=1) > 1e-9
    found = {name: np.full(len(differences), np.nan) for name in _TESTED}
    if testable.any():
        sample = differences[testable]
        above = stats.ttest_1samp(sample, -margin, axis=1, alternative="greater").pvalue
        below = stats.ttest_1samp(sample, margin, axis=1, alternative="less").pvalue
        either = stats.ttest_1samp(sample, 0, axis=1)
        interval = either.confidence_interval(1 - 2 * one_sided)
        values = interval.low, interval.high, np.maximum(above, below), either.pvalue
        for name, value in zip(found, values, strict=True):
            found[name][testable] = value
    verdict = np.where(found["p_difference"] < two_sided, DIFFERENT, UNDECIDED)
    verdict = np.where(found["p_equivalence"] < one_sided, EQUIVALENT, verdict)
    return {"difference": difference, **found, "verdict": verdict}


def mean_interval(values: Iterable[float], confidence: float) -> tuple[float, float, float]:
    """Mean of independent values with its t interval; an interval of nan where there is no spread to make it of."""
    values = np.asarray(list(values), dtype=float)
    mean = float(values.mean()) if len(values) else np.nan
    if len(values) < 2 or np.ptp(values) < 1e-9:
        return mean, np.nan, np.nan
    interval = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    return mean, float(interval.low), float(interval.high)


def collapse_and_accuracy(runs: pd.DataFrame, *, significance: float, resamples: int, seed: int) -> pd.DataFrame:
    """Rank correlation of NC1, NC2 and NC3 with test accuracy, both of the last snapshot, over all runs.

    Spearman's, and partial: ranks less what indicators of the held columns explain of them (least squares). The
    interval is a percentile bootstrap over runs. Below zero means: the more collapsed, the more accurate.

    Args:
        runs: a row a run with nc1, nc2, nc3, final_accuracy_test, width, epochs and loss.
        significance: the interval covers 1 - significance.
        resamples: of the bootstrap.
        seed: of its random numbers.

    Returns:
        A row a metric and a set of held columns: metric, held, runs, correlation (-1..1), interval_low, interval_high;
        nan where a column does not vary once the held ones are.
    """
    rows = []
    accuracy = runs["final_accuracy_test"].to_numpy()
    for held, columns in CONTROLS.items():
        indicators = [pd.get_dummies(runs[column].astype(str), drop_first=True) for column in columns]
        design = np.column_stack([np.ones(len(runs)), *indicators]).astype(float)
        for metric in COLLAPSE_METRICS:
            collapse = runs[metric].to_numpy()

            def correlation(index: np.ndarray, axis: int = -1, *, collapse=collapse, design=design) -> np.ndarray:
                index = index.astype(int)
                return _partial_rank_correlation(collapse[index], accuracy[index], design[index])

            everything = np.arange(len(runs))
            value = float(correlation(everything))
            low, high = np.nan, np.nan
            if np.isfinite(value):
                with warnings.catch_warnings():
                    # Resamples in which nothing varies have no correlation; they do not count, below.
                    warnings.simplefilter("ignore", stats.DegenerateDataWarning)
                    drawn = stats.bootstrap(
                        (everything,),
                        correlation,
                        n_resamples=resamples,
                        batch=200,
                        method="percentile",
                        rng=np.random.default_rng(seed),
                    ).bootstrap_distribution
                low, high = np.nanquantile(drawn, [significance / 2, 1 - significance / 2])
            rows.append(
                {
                    "experiment": runs["experiment"].iloc[0],
                    "metric": metric,
                    "held": held,
                    "runs": len(runs),
                    "correlation": value,
                    "interval_low": low,
                    "interval_high": high,
                }
            )
    return pd.DataFrame(rows)


def _partial_rank_correlation(x: np.ndarray, y: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Correlation of the ranks of x and y (... x n), less their projections on the design (... x n x p)."""
    ranks = np.stack([stats.rankdata(values, axis=-1) for values in (x, y)], axis=-1)
    residual = ranks - design @ (np.linalg.pinv(design) @ ranks)
    products = np.swapaxes(residual, -1, -2) @ residual
    # Ranks are halves of whole numbers: what is left of a column that the design explains is rounding.
    with np.errstate(divide="ignore", invalid="ignore"):
        value = products[..., 0, 1] / np.sqrt(products[..., 0, 0] * products[..., 1, 1])
    return np.where((products[..., 0, 0] > 1e-9) & (products[..., 1, 1] > 1e-9), value, np.nan)
