"""How many seeds decide: sample sizes of the tests that compare runs paired by seed."""

from bisect import bisect_left
from collections.abc import Callable

import numpy as np
from scipy import stats

# The probability with which a test of that many seeds decides.
POWER = 0.8
# Where more seeds than these were needed, nobody would train them.
MOST_SEEDS = 1000


def equivalence_power(seeds: int, spread: float, *, margin: float, level: float) -> float:
    """Probability that two one-sided paired t tests find two equal losses equivalent (Phillips 1990).

    Given the sample deviation s, the mean lies in the region of rejection with a probability of the normal law; that is
    averaged over the law of s.

    Args:
        seeds: pairs of runs, at least 2.
        spread: standard deviation of the difference of a pair, in the unit of the margin.
        margin: largest difference that counts as none.
        level: of each one-sided test.
    """
    free = seeds - 1
    quantile = stats.t.isf(level, free)
    # Equally likely values of s over the true spread.
    ratio = np.sqrt(stats.chi2.ppf((np.arange(2000) + 0.5) / 2000, free) / free)
    reach = margin * np.sqrt(seeds) / spread - quantile * ratio
    return float(np.mean(np.where(reach > 0, 2 * stats.norm.cdf(reach) - 1, 0)))


def trend_power(seeds: int, spread: float, *, margin: float, level: float) -> float:
    """Probability that the two-sided interval of the mean of a gain as large as the margin excludes zero.

    Args:
        level: the interval covers 1 - level. Others as in `equivalence_power`.
    """
    free = seeds - 1
    return float(stats.nct.sf(stats.t.isf(level / 2, free), free, margin * np.sqrt(seeds) / spread))


def seeds_needed(power: Callable[..., float], spread: float, *, margin: float, level: float) -> float:
    """The fewest seeds with which a test decides with probability `POWER`.

    Args:
        power: `equivalence_power` or `trend_power`, increasing in the number of seeds.

    Returns:
        A whole number from 2 to `MOST_SEEDS`; infinity beyond; nan where there is no spread to go by.
    """
    if not spread > 1e-9:  # less is rounding
        return np.nan
    numbers = range(2, MOST_SEEDS + 1)
    place = bisect_left(numbers, POWER, key=lambda seeds: power(seeds, spread, margin=margin, level=level))
    return numbers[place] if place < len(numbers) else np.inf
