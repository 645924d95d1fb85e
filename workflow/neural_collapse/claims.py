"""The ledger: each claim of the paper, the rule that decides it, the numbers, and the verdict for this study.

A claim is a function of the tables and of the thresholds in the section `evidence` of the study. Its rule stands beside
it as a sentence, in which {names} are those thresholds. Nothing here reads files or imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .equivalence import DIFFERENT, EQUIVALENT, mean_interval

SUPPORTED, NOT_SUPPORTED, NOT_DECIDED = "supported", "not supported", "not decided"

COLUMNS = ("name", "claim", "experiment", "subject", "verdict", "numbers", "rule", "source", "seeds")


@dataclass(frozen=True)
class Evidence:
    """What one experiment has to say.

    Attributes:
        runs, equivalence, alignment: tables of the experiment (see `tables`, `equivalence` and `alignment`).
        thresholds: the section `evidence` of the study.
    """

    runs: pd.DataFrame
    equivalence: pd.DataFrame
    alignment: pd.DataFrame
    thresholds: Mapping[str, float]

    @property
    def largest(self) -> pd.DataFrame:
        """Runs of the largest width and budget."""
        return _at(self.runs, self.runs["width"].max(), self.runs["epochs"].max())

    @property
    def seeds(self) -> int:
        """Seeds of the experiment."""
        return self.runs["seed"].nunique()

    def not_fitted(self, runs: pd.DataFrame) -> str | None:
        """Why nothing can be said of collapse, where runs do not fit their training data."""
        lowest = runs["final_accuracy_train"].min()
        return f"training accuracy only {lowest:.2%}" if lowest < self.thresholds["training_accuracy"] else None

    @property
    def too_few_seeds(self) -> str | None:
        """Why nothing can be decided, where there are too few seeds."""
        if self.seeds < self.thresholds["minimum_seeds"]:
            return f"{_count(self.seeds, 'seed')}; at least {self.thresholds['minimum_seeds']} are needed"
        return None


# Subject (a loss, or all of them), numbers in words, verdict.
Finding = tuple[str, str, str]


@dataclass(frozen=True)
class Claim:
    """A claim about trained networks.

    Attributes:
        name: what it is called in short.
        statement: what the paper says, in a sentence.
        source: where it says so.
        rule: how it is decided, a sentence with the thresholds' names in braces.
        decide: the same as code.
    """

    name: str
    statement: str
    source: str
    rule: str
    decide: Callable[[Evidence], Iterator[Finding]]


CLAIMS: list[Claim] = []


def _claim(statement: str, source: str, rule: str):
    def register(decide: Callable[[Evidence], Iterator[Finding]]):
        CLAIMS.append(Claim(decide.__name__.lstrip("_"), statement, source, rule, decide))
        return decide

    return register


def ledger(experiments: Mapping[str, Evidence], theory: pd.DataFrame) -> pd.DataFrame:
    """Every claim on every experiment, then the theorems.

    Args:
        experiments: the evidence by the name of the experiment.
        theory: the table `claims` of the theory (see `theory_tables.claims`).

    Returns:
        A row a claim, experiment and subject (a loss, a set of losses), with the columns `COLUMNS`.
    """
    rows = []
    for claim in CLAIMS:
        for name, evidence in experiments.items():
            rule = claim.rule.format_map({key: f"{value:g}" for key, value in evidence.thresholds.items()})
            for subject, numbers, verdict in claim.decide(evidence):
                words = (claim.name, claim.statement, name, subject, verdict, numbers, rule, claim.source)
                rows.append((*words, evidence.seeds))
    rows += list(_theorems(theory))
    return pd.DataFrame(rows, columns=COLUMNS)


@_claim(
    "Trained long enough, a large enough network fits its training data under every loss.",
    "Section 4, Fig. 2",
    "In the largest configuration the training accuracy of every seed ends at {training_accuracy} or above.",
)
def _training_accuracy(evidence: Evidence) -> Iterator[Finding]:
    for loss, runs in _by_loss(evidence.largest):
        lowest = runs["final_accuracy_train"].min()
        numbers = f"lowest training accuracy {lowest:.2%}"
        yield loss, *_decided(evidence, numbers, lowest >= evidence.thresholds["training_accuracy"])


@_claim(
    "The last layer ends in neural collapse under every loss: NC1, NC2 and NC3 vanish.",
    "Section 4, Fig. 1",
    "In the largest configuration NC1, NC2 and NC3 of every seed end at or below {nc1}, {nc2} and {nc3}. Nothing is "
    "decided where a training accuracy is below {training_accuracy}: collapse is a claim about the phase after it.",
)
def _neural_collapse(evidence: Evidence) -> Iterator[Finding]:
    for loss, runs in _by_loss(evidence.largest):
        worst = {metric: runs[metric].max() for metric in ("nc1", "nc2", "nc3")}
        numbers = "largest " + ", ".join(f"{metric.upper()} {value:.4f}" for metric, value in worst.items())
        numbers += f" (W centered: NC2 {runs['nc2_centered'].max():.4f}, NC3 {runs['nc3_centered'].max():.4f})"
        collapsed = all(value <= evidence.thresholds[metric] for metric, value in worst.items())
        yield loss, *_decided(evidence, numbers, collapsed, unless=evidence.not_fitted(runs))


@_claim(
    "The features under any two losses are equal up to rotation and scale.",
    "Section 4",
    "In the largest configuration the linear CKA of the training features of every pair of losses is {cka} or more "
    "for every pair of seeds; nothing is decided where a training accuracy is below {training_accuracy}. Test "
    "features, other seeds and untrained networks are controls.",
)
def _equal_features(evidence: Evidence) -> Iterator[Finding]:
    table = evidence.alignment
    features = table[table["part"] == "features"]
    between = features[features["comparison"].isin(["losses", "losses_other_seed"])]
    if between.empty:
        yield "all losses", "one loss alone", NOT_DECIDED
        return
    lowest = between.loc[between["split"] == "train", "cka"].min()
    means = {
        "test images": between.loc[between["split"] == "test", "cka"].mean(),
        "same loss and other seed, test images": _mean_cka(features, "seeds", "test"),
        "against untrained, training images": _mean_cka(features, "untrained", "train"),
    }
    residuals = table[(table["part"] == "within_class") & table["comparison"].isin(["losses", "losses_other_seed"])]
    means["residuals of the class, test images"] = residuals.loc[residuals["split"] == "test", "cka"].mean()
    numbers = f"lowest CKA on training images {lowest:.3f}; means: "
    numbers += ", ".join(f"{name} {value:.3f}" for name, value in means.items() if np.isfinite(value))
    holds = lowest >= evidence.thresholds["cka"]
    yield "all losses", *_decided(evidence, numbers, holds, unless=evidence.not_fitted(evidence.largest))


@_claim(
    "In the largest configuration test accuracy is the same under every loss.",
    "Section 4, Fig. 3",
    "Every pair of losses is equivalent within {margin} (two one-sided tests, paired by seed, at level {significance} "
    "over all pairs). Not supported if a pair differs (paired t test at level {significance} over all pairs). "
    "Nothing is decided where a training accuracy is below {training_accuracy}.",
)
def _equal_accuracy(evidence: Evidence) -> Iterator[Finding]:
    table = evidence.equivalence
    if table.empty:
        yield "all losses", "one loss alone", NOT_DECIDED
        return
    largest = _at(table, table["width"].max(), table["epochs"].max())
    counts = largest["verdict"].value_counts()
    widest = largest.loc[largest["difference"].abs().idxmax()]
    numbers = ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + f" of {len(largest)} pairs; "
    numbers += (
        f"largest mean difference {_points(widest['difference'])} ({widest['first_loss']} − {widest['second_loss']}"
    )
    if np.isfinite(widest["interval_low"]):
        numbers += f", interval {_points(widest['interval_low'])} to {_points(widest['interval_high'])}"
    numbers += ")"
    equal = (largest["verdict"] == EQUIVALENT).all()
    if equal or (largest["verdict"] == DIFFERENT).any():
        yield "all losses", *_decided(evidence, numbers, equal, unless=evidence.not_fitted(evidence.largest))
    else:
        yield "all losses", numbers, NOT_DECIDED


@_claim(
    "The losses differ less in the largest configuration than in the smallest.",
    "Section 4, Fig. 3",
    "Per seed the range of test accuracy over the losses, smallest configuration less largest; supported or not by the "
    "sign of its mean where the interval (level {significance}) leaves out zero.",
)
def _smaller_gap(evidence: Evidence) -> Iterator[Finding]:
    runs = evidence.runs
    smallest = _at(runs, runs["width"].min(), runs["epochs"].min())
    if runs["loss"].nunique() < 2 or len(smallest) == len(runs):
        yield "all losses", "one loss or one configuration alone", NOT_DECIDED
        return
    ranges = [
        part.groupby("seed")["accuracy_test"].agg(lambda values: values.max() - values.min())
        for part in (smallest, evidence.largest)
    ]
    yield "all losses", *_trend(evidence, ranges[0] - ranges[1], "smaller by")


@_claim(
    "A wider network is more accurate.",
    "Section 4, Fig. 3",
    "Per seed the test accuracy at the largest width less that at the smallest, mean over the budgets; supported or "
    "not by the sign of its mean where the interval (level {significance}) leaves out zero.",
)
def _wider_is_better(evidence: Evidence) -> Iterator[Finding]:
    yield from _along(evidence, "width")


@_claim(
    "A longer training is more accurate.",
    "Section 4, Fig. 3",
    "Per seed the test accuracy of the longest budget less that of the shortest, mean over the widths; supported or "
    "not by the sign of its mean where the interval (level {significance}) leaves out zero.",
)
def _longer_is_better(evidence: Evidence) -> Iterator[Finding]:
    yield from _along(evidence, "epochs")


def _along(evidence: Evidence, axis: str) -> Iterator[Finding]:
    for loss, runs in _by_loss(evidence.runs):
        ends = runs[axis].min(), runs[axis].max()
        if ends[0] == ends[1]:
            yield loss, f"{axis} {ends[0]:g} alone", NOT_DECIDED
            continue
        low, high = (runs[runs[axis] == end].groupby("seed")["accuracy_test"].mean() for end in ends)
        yield loss, *_trend(evidence, high - low, f"{axis} {ends[1]:g} against {ends[0]:g}:")


def _trend(evidence: Evidence, gains: pd.Series, words: str) -> tuple[str, str]:
    """Numbers and verdict on the mean of a gain a seed being above zero."""
    mean, low, high = mean_interval(gains, 1 - evidence.thresholds["significance"])
    if evidence.too_few_seeds or np.isnan(low):
        reason = evidence.too_few_seeds or f"no interval of {_count(len(gains), 'seed')}"
        return f"{words} {_points(mean)}; {reason}", NOT_DECIDED
    numbers = f"{words} {_points(mean)}, interval {_points(low)} to {_points(high)}"
    return numbers, SUPPORTED if low > 0 else NOT_SUPPORTED if high < 0 else NOT_DECIDED


def _decided(evidence: Evidence, numbers: str, holds: bool, *, unless: str | None = None) -> tuple[str, str]:
    """Numbers and verdict; not decided, with the reason, where there is one or too few seeds."""
    reason = unless or evidence.too_few_seeds
    if reason:
        return f"{numbers}; {reason}", NOT_DECIDED
    return numbers, SUPPORTED if holds else NOT_SUPPORTED


# The theory: statements by the place where they stand.

THEOREMS = {
    "Theorem 1": "The global minimisers of Eq. (7) are neural collapse under every contrastive loss.",
    "Theorem 2": "Eq. (7) has no spurious local minimum under a convex loss: other critical points are strict saddles.",
    "Corollary 1": "Theorem 2 covers label smoothing.",
    "Corollary 2": "The focal loss has no spurious local minimum where every p is at least 0.21.",
    "Definition 1": "The loss has the contrastive property.",
    "Section 3.2": "Gradient descent on Eq. (7) ends in collapse; the focal loss is convex where p is at least 0.21.",
}
_THEORY_RULE = "Every computed statement of this place holds within its tolerance, or without a case against it."


def _theorems(theory: pd.DataFrame) -> Iterator[tuple]:
    """A row a theorem and loss; what the paper does not claim (derived here, or beyond it) comes last."""
    order = {source: place for place, source in enumerate(THEOREMS)}
    groups = theory.groupby([theory["source"], theory["loss"].fillna("")], sort=False)
    for (source, loss), rows in sorted(groups, key=lambda group: order.get(group[0][0], len(order))):
        # The same statement at several sizes is one statement here.
        computed = dict.fromkeys(rows["claim"].str.replace(r", K = .*", "", regex=True))
        statement = THEOREMS.get(source, f"Beyond the paper: {'; '.join(computed)}.")
        against = rows[~rows["supported"].astype(bool)]
        numbers = f"{_count(len(rows), 'statement')}, {_count(int(rows['cases'].sum()), 'case')}"
        measured = rows[rows["tolerance"].notna() & rows["supported"].astype(bool)]
        if len(measured):
            worst = measured.loc[measured["largest_error"].idxmax()]
            numbers += f"; largest error {worst['largest_error']:.1e}, tolerance {worst['tolerance']:g}"
        for _, row in against.iterrows():
            error = f"{row['largest_error']:.0%} of cases against it"
            if not np.isnan(row["tolerance"]):
                error = f"error {row['largest_error']:.2g}"
            numbers += f"; fails: {row['claim']} ({error})"
        verdict = NOT_SUPPORTED if len(against) else SUPPORTED
        yield source, statement, "theory", loss, verdict, numbers, _THEORY_RULE, source, np.nan


# Words


def _at(table: pd.DataFrame, width: float, epochs: int) -> pd.DataFrame:
    return table[(table["width"] == width) & (table["epochs"] == epochs)]


def _by_loss(runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    return iter(runs.groupby("loss", sort=False))


def _mean_cka(table: pd.DataFrame, comparison: str, split: str) -> float:
    return table.loc[(table["comparison"] == comparison) & (table["split"] == split), "cka"].mean()


def _points(share: float) -> str:
    return f"{100 * share:+.2f} points"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
