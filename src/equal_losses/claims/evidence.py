"""What a claim is, what it is decided on, and what the rules of several claims have in common.

A claim is a function of the tables of an experiment and of the thresholds in the section `evidence` of the study.
Beside it is its rule, the same as a sentence, in which {names} are those thresholds.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from equal_losses.running.words import count
from equal_losses.statistics.equivalence import mean_interval
from equal_losses.statistics.power import seeds_needed, trend_power

SUPPORTED, NOT_SUPPORTED, NOT_DECIDED = "supported", "not supported", "not decided"


@dataclass(frozen=True)
class Evidence:
    """What one experiment contributes: tables, and the section `evidence` of the study."""

    runs: pd.DataFrame
    equivalence: pd.DataFrame
    alignment: pd.DataFrame
    thresholds: Mapping[str, float]

    @property
    def largest(self) -> pd.DataFrame:
        """Runs of the largest width and budget."""
        return of_size(self.runs, self.runs["width"].max(), self.runs["epochs"].max())

    @property
    def seeds(self) -> int:
        """How many there are."""
        return self.runs["seed"].nunique()

    def not_fitted(self, runs: pd.DataFrame) -> str | None:
        """Why nothing can be said about collapse, where runs do not fit their training data."""
        lowest = runs["final_accuracy_train"].min()
        return f"training accuracy only {lowest:.2%}" if lowest < self.thresholds["training_accuracy"] else None

    @property
    def too_few_seeds(self) -> str | None:
        """Why nothing can be decided, where there are too few seeds."""
        if self.seeds < self.thresholds["minimum_seeds"]:
            return f"{count(self.seeds, 'seed')}; at least {self.thresholds['minimum_seeds']} are needed"
        return None


class Finding(NamedTuple):
    """What a rule finds.

    Attributes:
        subject: a loss, or all of them.
        numbers: in words.
        verdict: one of the three.
        seeds_needed: with which it would be decided (see `statistics.power`), nan where that cannot be said.
    """

    subject: str
    numbers: str
    verdict: str
    seeds_needed: float = np.nan


@dataclass(frozen=True)
class Claim:
    """A claim about trained networks.

    Attributes:
        decide: the rule as code; its name is the claim's.
        statement, source: what the paper says, in a sentence, and where.
        rule: how it is decided, a sentence with the names of the thresholds in braces.
        question: what readers ask first, if this claim answers it.
    """

    decide: Callable[[Evidence], Iterator[Finding]]
    statement: str
    source: str
    rule: str
    question: str | None = None

    @property
    def name(self) -> str:
        """What the claim is called in short."""
        return self.decide.__name__


def decided(evidence: Evidence, numbers: str, holds: bool, *, unless: str | None = None) -> tuple[str, str]:
    """Numbers and verdict; not decided, with the reason, where there is a reason `unless` or too few seeds."""
    reason = unless or evidence.too_few_seeds
    if reason:
        return f"{numbers}; {reason}", NOT_DECIDED
    return numbers, SUPPORTED if holds else NOT_SUPPORTED


def trend(evidence: Evidence, gains: pd.Series, words: str) -> tuple[str, str, float]:
    """Numbers and verdict on whether the mean of a gain, one per seed, is above zero.

    The seeds that are needed are those with which the sign of a gain like this one would be seen.
    """
    significance = evidence.thresholds["significance"]
    mean, low, high = mean_interval(gains, 1 - significance)
    needed = seeds_needed(trend_power, gains.std(), margin=abs(mean), level=significance)
    if evidence.too_few_seeds or np.isnan(low):
        reason = evidence.too_few_seeds or f"no interval of {count(len(gains), 'seed')}"
        return f"{words} {points(mean)}; {reason}", NOT_DECIDED, needed
    numbers = f"{words} {points(mean)}, interval {points(low)} to {points(high)}"
    if low <= 0 <= high:
        return numbers, NOT_DECIDED, needed
    return numbers, SUPPORTED if low > 0 else NOT_SUPPORTED, np.nan


def of_size(table: pd.DataFrame, width: float, epochs: int) -> pd.DataFrame:
    """Rows of one width and budget."""
    return table[(table["width"] == width) & (table["epochs"] == epochs)]


def points(share: float) -> str:
    """A difference of shares in percentage points."""
    return f"{100 * share:+.2f} points"
