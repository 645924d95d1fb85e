"""Whether losses are equally accurate: tests on the table `runs`."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from equal_losses.statistics.tables import COLUMNS

EQUIVALENT, DIFFERENT, UNDECIDED = "equivalent", "different", "undecided"

_TESTED = ("interval_low", "interval_high", "p_equivalence", "p_difference")


def equivalence(runs: pd.DataFrame, *, margin: float, significance: float) -> pd.DataFrame:
    """Compare the test accuracies of every pair of losses at every (width, epochs), paired by seed.

    Two one-sided t tests (TOST, Schuirmann 1987) reject "further apart than the margin", a two-sided t test rejects
    "equal". Over the L losses of an experiment, each verdict is wrong for any of the pairs with a probability of at
    most `significance`: the one-sided tests are made at significance / (L - 1) (Lauzon and Caffo 2009), the two-sided
    ones at significance over the number of pairs (Bonferroni).

    Args:
        runs: one row per run with experiment, loss, width, epochs, seed and accuracy_test (a share in 0..1).
        margin: largest difference that counts as none, a share.
        significance: 0..0.5.

    Returns:
        One row per pair and (width, epochs): first_loss, second_loss, seeds (pairs of runs), difference (mean of first
        minus second, a share), interval_low and interval_high (within the margin exactly where the one-sided tests
        reject), p_equivalence, p_difference, the levels that they are compared with, margin, and the verdict:
        equivalent; otherwise different, if the two-sided test rejects; otherwise undecided. A pair that has fewer than
        two seeds, or differences without any spread, has no interval and no p-value and is undecided.
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
        return pd.DataFrame(columns=COLUMNS["equivalence"])
    table = pd.concat(parts).sort_values(["width", "epochs"], kind="stable", ignore_index=True)
    return table[COLUMNS["equivalence"]]


def _tests(differences: np.ndarray, margin: float, one_sided: float, two_sided: float) -> dict[str, np.ndarray]:
    """Tests of the rows of an array (... x seeds)."""
    # A spread of rounding errors is none: the accuracies differ by the same number of images.
    testable = np.ptp(differences, axis=1) > 1e-9
    values = np.full((len(_TESTED), len(differences)), np.nan)
    if testable.any():
        sample = differences[testable]
        above = stats.ttest_1samp(sample, -margin, axis=1, alternative="greater").pvalue
        below = stats.ttest_1samp(sample, margin, axis=1, alternative="less").pvalue
        either = stats.ttest_1samp(sample, 0, axis=1)
        interval = either.confidence_interval(1 - 2 * one_sided)
        values[:, testable] = interval.low, interval.high, np.maximum(above, below), either.pvalue
    found = dict(zip(_TESTED, values, strict=True))
    verdict = np.where(found["p_difference"] < two_sided, DIFFERENT, UNDECIDED)
    verdict = np.where(found["p_equivalence"] < one_sided, EQUIVALENT, verdict)
    return {"difference": differences.mean(axis=1), **found, "verdict": verdict}


def mean_interval(values: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Mean of independent values with the ends of its t interval, nan where there is no spread to make one of."""
    values = np.asarray(values, dtype=float)
    mean = float(values.mean())
    if len(values) < 2 or np.ptp(values) < 1e-9:
        return mean, np.nan, np.nan
    interval = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    return mean, float(interval.low), float(interval.high)
