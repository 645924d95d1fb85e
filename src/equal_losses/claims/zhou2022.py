"""The claims of Zhou et al., "Are All Losses Created Equal: A Neural Collapse Perspective", NeurIPS 2022."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from equal_losses.claims.evidence import NOT_DECIDED, Claim, Evidence, Finding, decided, of_size, points, trend
from equal_losses.statistics.equivalence import DIFFERENT, EQUIVALENT
from equal_losses.statistics.power import equivalence_power, seeds_needed


def training_accuracy(evidence: Evidence) -> Iterator[Finding]:
    """Per loss, the lowest training accuracy over the seeds."""
    for loss, runs in evidence.largest.groupby("loss", sort=False):
        lowest = runs["final_accuracy_train"].min()
        numbers = f"lowest training accuracy {lowest:.2%}"
        yield loss, *decided(evidence, numbers, lowest >= evidence.thresholds["training_accuracy"])


def collapse(evidence: Evidence) -> Iterator[Finding]:
    """Per loss, the largest of each metric over the seeds."""
    for loss, runs in evidence.largest.groupby("loss", sort=False):
        worst = {metric: runs[metric].max() for metric in ("nc1", "nc2", "nc3")}
        numbers = "largest " + ", ".join(f"{metric.upper()} {value:.4f}" for metric, value in worst.items())
        numbers += f" (W centered: NC2 {runs['nc2_centered'].max():.4f}, NC3 {runs['nc3_centered'].max():.4f})"
        collapsed = all(value <= evidence.thresholds[metric] for metric, value in worst.items())
        yield loss, *decided(evidence, numbers, collapsed, unless=evidence.not_fitted(runs))


def equal_features(evidence: Evidence) -> Iterator[Finding]:
    """The lowest CKA over pairs of losses and of seeds, beside the means of the controls."""
    table = evidence.alignment

    def cka(part: str, split: str, *comparisons: str) -> pd.Series:
        chosen = (table["part"] == part) & (table["split"] == split) & table["comparison"].isin(comparisons)
        return table.loc[chosen, "cka"]

    between = ("losses", "losses_other_seed")
    lowest = cka("features", "train", *between).min()
    if np.isnan(lowest):
        yield "all losses", "one loss alone", NOT_DECIDED
        return
    means = {
        "test images": cka("features", "test", *between).mean(),
        "same loss and other seed, test images": cka("features", "test", "seeds").mean(),
        "against untrained, training images": cka("features", "train", "untrained").mean(),
        "residuals of the class, test images": cka("within_class", "test", *between).mean(),
    }
    numbers = f"lowest CKA on training images {lowest:.3f}; means: "
    numbers += ", ".join(f"{name} {value:.3f}" for name, value in means.items() if np.isfinite(value))
    holds = lowest >= evidence.thresholds["cka"]
    yield "all losses", *decided(evidence, numbers, holds, unless=evidence.not_fitted(evidence.largest))


def equal_accuracy(evidence: Evidence) -> Iterator[Finding]:
    """The verdicts on the pairs of losses, and the largest difference."""
    table = evidence.equivalence
    if table.empty:
        yield "all losses", "one loss alone", NOT_DECIDED
        return
    largest = of_size(table, table["width"].max(), table["epochs"].max())
    verdicts = largest["verdict"].value_counts()
    widest = largest.loc[largest["difference"].abs().idxmax()]
    numbers = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items()) + f" of {len(largest)} pairs; "
    numbers += f"largest mean difference {points(widest['difference'])}"
    numbers += f" ({widest['first_loss']} − {widest['second_loss']}"
    if np.isfinite(widest["interval_low"]):
        numbers += f", interval {points(widest['interval_low'])} to {points(widest['interval_high'])}"
    numbers += ")"
    equal = (largest["verdict"] == EQUIVALENT).all()
    if equal or (largest["verdict"] == DIFFERENT).any():
        yield "all losses", *decided(evidence, numbers, equal, unless=evidence.not_fitted(evidence.largest))
    else:
        yield "all losses", numbers, NOT_DECIDED, max(map(_seeds_of_pair, largest.itertuples()))


def _seeds_of_pair(pair: tuple) -> float:
    """With how many seeds a pair of losses would be found equivalent if they are equal, given the spread seen."""
    of_mean = (pair.interval_high - pair.interval_low) / 2 / stats.t.isf(pair.equivalence_level, pair.seeds - 1)
    spread = of_mean * np.sqrt(pair.seeds)
    return seeds_needed(equivalence_power, spread, margin=pair.margin, level=pair.equivalence_level)


def smaller_gap(evidence: Evidence) -> Iterator[Finding]:
    """By how much the range over the losses is smaller in the largest configuration."""
    runs = evidence.runs
    smallest = of_size(runs, runs["width"].min(), runs["epochs"].min())
    if runs["loss"].nunique() < 2 or len(smallest) == len(runs):
        yield "all losses", "one loss or one configuration alone", NOT_DECIDED
        return
    ranges = [
        part.groupby("seed")["accuracy_test"].agg(lambda values: values.max() - values.min())
        for part in (smallest, evidence.largest)
    ]
    yield "all losses", *trend(evidence, ranges[0] - ranges[1], "smaller by")


def wider_is_better(evidence: Evidence) -> Iterator[Finding]:
    """Per loss, what the largest width gains over the smallest."""
    yield from _along(evidence, "width")


def longer_is_better(evidence: Evidence) -> Iterator[Finding]:
    """Per loss, what the longest budget gains over the shortest."""
    yield from _along(evidence, "epochs")


def _along(evidence: Evidence, axis: str) -> Iterator[Finding]:
    for loss, runs in evidence.runs.groupby("loss", sort=False):
        ends = runs[axis].min(), runs[axis].max()
        if ends[0] == ends[1]:
            yield loss, f"{axis} {ends[0]:g} alone", NOT_DECIDED
            continue
        low, high = (runs[runs[axis] == end].groupby("seed")["accuracy_test"].mean() for end in ends)
        yield loss, *trend(evidence, high - low, f"{axis} {ends[1]:g} against {ends[0]:g}:")


CLAIMS = (
    Claim(
        training_accuracy,
        statement="Trained long enough, a large enough network fits its training data under every loss.",
        source="Section 4, Fig. 2",
        rule="In the largest configuration the training accuracy of every seed ends at {training_accuracy} or above.",
    ),
    Claim(
        collapse,
        statement="The last layer ends in neural collapse under every loss: NC1, NC2 and NC3 vanish.",
        source="Section 4, Fig. 1",
        rule="In the largest configuration NC1, NC2 and NC3 of every seed end at or below {nc1}, {nc2} and {nc3}. "
        "Nothing is decided where a training accuracy is below {training_accuracy}: collapse is a claim about the "
        "phase after it.",
        question="Do all losses end in the same geometry?",
    ),
    Claim(
        equal_features,
        statement="The features under any two losses are equal up to rotation and scale.",
        source="Section 4",
        rule="In the largest configuration the linear CKA of the training features of every pair of losses is {cka} or "
        "more for every pair of seeds; nothing is decided where a training accuracy is below {training_accuracy}. Test "
        "features, other seeds and untrained networks are controls.",
        question="Are the features equal up to rotation and scale?",
    ),
    Claim(
        equal_accuracy,
        statement="In the largest configuration test accuracy is the same under every loss.",
        source="Section 4, Fig. 3",
        rule="Every pair of losses is equivalent within {margin} (two one-sided tests, paired by seed, at level "
        "{significance} over all pairs). Not supported if a pair differs (paired t test at level {significance} over "
        "all pairs). Nothing is decided where a training accuracy is below {training_accuracy}.",
        question="Is test accuracy the same?",
    ),
    Claim(
        smaller_gap,
        statement="The losses differ less in the largest configuration than in the smallest.",
        source="Section 4, Fig. 3",
        rule="Per seed the range of test accuracy over the losses, smallest configuration minus largest; supported or "
        "not by the sign of its mean where the interval (level {significance}) excludes zero.",
    ),
    Claim(
        wider_is_better,
        statement="A wider network is more accurate.",
        source="Section 4, Fig. 3",
        rule="Per seed the test accuracy at the largest width minus that at the smallest, mean over the budgets; "
        "supported or not by the sign of its mean where the interval (level {significance}) excludes zero.",
    ),
    Claim(
        longer_is_better,
        statement="A longer training is more accurate.",
        source="Section 4, Fig. 3",
        rule="Per seed the test accuracy of the longest budget minus that of the shortest, mean over the widths; "
        "supported or not by the sign of its mean where the interval (level {significance}) excludes zero.",
    ),
)

# The theory: what the paper states, by where it does.
THEOREMS = {
    "Theorem 1": "The global minimisers of Eq. (7) are neural collapse under every contrastive loss.",
    "Theorem 1 with a bias": "As printed: Definition 1 (but for a tie at another c) is enough for any lambda_b.",
    "Theorem 1 repaired": "Definition 1 is enough without a bias, or if phi(t) - c t is least at one t* <= 0.",
    "Theorem 2": "Eq. (7) has no spurious local minimum under a convex loss: other critical points are strict saddles.",
    "Corollary 1": "Theorem 2 covers label smoothing.",
    "Corollary 2": "The focal loss has no spurious local minimum where every p is at least 0.21.",
    "Section 5, conjecture": "Many more losses end in neural collapse.",
    "Section 5, exceptions": "These losses do not end in neural collapse.",
    "Definition 1": "The loss has the contrastive property.",
    "Section 3.2": "Gradient descent on Eq. (7) ends in collapse; the focal loss is convex where p is at least 0.21.",
}
