"""Whether collapse predicts accuracy: rank correlations over the table `runs`."""

import warnings

import numpy as np
import pandas as pd
from scipy import stats

from equal_losses.statistics.tables import COLUMNS

COLLAPSE_METRICS = ("nc1", "nc2", "nc3")
# What is held constant when collapse is ranked against accuracy.
CONTROLS = {"nothing": [], "width, epochs": ["width", "epochs"], "width, epochs, loss": ["width", "epochs", "loss"]}


def correlation(runs: pd.DataFrame, *, significance: float, resamples: int, seed: int) -> pd.DataFrame:
    """Rank correlation of NC1, NC2 and NC3 with test accuracy, both of the last snapshot, over all runs.

    Spearman's, and partial: of the ranks, what indicators of the held columns leave unexplained (least squares). The
    interval is a percentile bootstrap over runs. Below zero means: the more collapsed, the more accurate.

    Args:
        runs: one row per run with experiment, nc1, nc2, nc3, final_accuracy_test, width, epochs and loss.
        significance: the interval covers 1 - significance.
        resamples: of the bootstrap.
        seed: of its random numbers.

    Returns:
        One row per metric and set of held columns: experiment, metric, held, runs (their number), correlation (-1..1),
        interval_low, interval_high; nan where a column no longer varies once the held ones are constant.
    """
    rows = []
    accuracy = runs["final_accuracy_test"].to_numpy()
    for held, columns in CONTROLS.items():
        indicators = [pd.get_dummies(runs[column].astype(str), drop_first=True) for column in columns]
        design = np.column_stack([np.ones(len(runs)), *indicators]).astype(float)
        for metric in COLLAPSE_METRICS:
            measured = _with_interval(runs[metric].to_numpy(), accuracy, design, significance, resamples, seed)
            rows.append((runs["experiment"].iloc[0], metric, held, len(runs), *measured))
    return pd.DataFrame(rows, columns=COLUMNS["correlation"])


def _with_interval(
    x: np.ndarray, y: np.ndarray, design: np.ndarray, significance: float, resamples: int, seed: int
) -> tuple[float, float, float]:
    """The partial rank correlation of x and y (n), given the design (n x p), and the ends of its interval."""

    def of_runs(index: np.ndarray, axis: int = -1) -> np.ndarray:
        index = index.astype(int)
        return _partial_rank_correlation(x[index], y[index], design[index])

    everything = np.arange(len(x))
    value = float(of_runs(everything))
    if not np.isfinite(value):
        return value, np.nan, np.nan
    with warnings.catch_warnings():
        # Resamples in which nothing varies have no correlation; the quantiles leave them out.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        options = {"n_resamples": resamples, "batch": 200, "method": "percentile", "rng": np.random.default_rng(seed)}
        drawn = stats.bootstrap((everything,), of_runs, **options).bootstrap_distribution
    return value, *np.nanquantile(drawn, [significance / 2, 1 - significance / 2])


def _partial_rank_correlation(x: np.ndarray, y: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Correlation of the ranks of x and y (... x n) minus their projections on the design (... x n x p)."""
    ranks = np.stack([stats.rankdata(values, axis=-1) for values in (x, y)], axis=-1)
    residual = ranks - design @ (np.linalg.pinv(design) @ ranks)
    products = np.swapaxes(residual, -1, -2) @ residual
    # Ranks are halves of whole numbers: what is left of a column that the design explains is rounding.
    with np.errstate(divide="ignore", invalid="ignore"):
        value = products[..., 0, 1] / np.sqrt(products[..., 0, 0] * products[..., 1, 1])
    return np.where((products[..., 0, 0] > 1e-9) & (products[..., 1, 1] > 1e-9), value, np.nan)
