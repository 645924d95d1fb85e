"""The answer of a study in sentences, made from its ledger."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from equal_losses.claims.evidence import NOT_DECIDED, NOT_SUPPORTED, SUPPORTED, of_size
from equal_losses.claims.ledger import CLAIMS
from equal_losses.statistics.equivalence import DIFFERENT, EQUIVALENT

IN_PART = "in part"  # where the verdicts on the losses differ

_SHORT = {SUPPORTED: "Yes", NOT_SUPPORTED: "No", NOT_DECIDED: "Not decided", IN_PART: "In part"}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True)
class Answer:
    """What one experiment answers to a question.

    Attributes:
        experiment: its name.
        verdict: that of the ledger, or `IN_PART`.
        words: the answer as a part of a sentence.
        rows: the ledger's rows that it is made from.
    """

    experiment: str
    verdict: str
    words: str
    rows: list[dict]

    @property
    def short(self) -> str:
        """In a word."""
        return _SHORT[self.verdict]


def answers(ledger: pd.DataFrame, pairs: dict[str, pd.DataFrame]) -> dict[str, list[Answer]]:
    """Each question that readers ask first, and the answer of each experiment.

    Args:
        ledger: the table of claims (see `claims.ledger`).
        pairs: the table `equivalence` by the name of the experiment.
    """
    found = {}
    for claim in CLAIMS:
        if claim.question:
            rows = ledger[ledger["name"] == claim.name]
            words = _WORDS.get(claim.name, _by_verdict)
            found[claim.question] = [
                Answer(name, _verdict(part["verdict"]), words(part, pairs[name]), part.to_dict("records"))
                for name, part in rows.groupby("experiment", sort=False)
            ]
    return found


def sentence(experiment: str, images: str, answered: dict[str, list[Answer]]) -> str:
    """All answers of an experiment as one sentence, after the images that they are about."""
    words = [each.words for answers in answered.values() for each in answers if each.experiment == experiment]
    return f"{images}: {'; '.join(words)}."


def _verdict(verdicts: pd.Series) -> str:
    return verdicts.iloc[0] if verdicts.nunique() == 1 else IN_PART


def _collapse(rows: pd.DataFrame, _pairs: pd.DataFrame) -> str:
    if _verdict(rows["verdict"]) == SUPPORTED and len(rows) > 1:
        return f"the same geometry under {_all(len(rows))}"
    if _verdict(rows["verdict"]) == NOT_DECIDED:
        return "whether the geometry is the same is not decided"
    words = {SUPPORTED: "neural collapse under", NOT_SUPPORTED: "no collapse under", NOT_DECIDED: "not decided for"}
    return ", ".join(f"{words[verdict]} {_listed(part)}" for verdict, part in _subjects(rows).items())


def _equal_features(rows: pd.DataFrame, _pairs: pd.DataFrame) -> str:
    return {
        SUPPORTED: "the same features up to rotation and scale",
        NOT_SUPPORTED: "features that are not the same up to rotation and scale",
        NOT_DECIDED: "whether the features are the same is not decided",
    }[rows["verdict"].iloc[0]]


def _equal_accuracy(rows: pd.DataFrame, pairs: pd.DataFrame) -> str:
    if pairs.empty:
        return "no test accuracies to compare"
    largest = of_size(pairs, pairs["width"].max(), pairs["epochs"].max())
    equal, different = (int((largest["verdict"] == verdict).sum()) for verdict in (EQUIVALENT, DIFFERENT))
    row, total = rows.iloc[0], len(largest)
    # The rule knows reasons to decide nothing that a test of a pair does not, such as networks that do not fit.
    overruled = row["verdict"] == NOT_DECIDED and (different or equal == total)
    open_pairs = total if overruled else total - equal - different
    if open_pairs == total:
        which = "the one pair" if total == 1 else f"any of {total} pairs"
        return f"test accuracy is not decided for {which} of losses{_needed(row)}"
    margin = f"{100 * pairs['margin'].iloc[0]:g}"
    parts = [
        f"equal within {margin} {'point' if margin == '1' else 'points'} for {_of(equal, total)}" if equal else "",
        f"different for {_of(different, total)}" if different else "",
        f"not decided for {open_pairs}{_needed(row)}" if open_pairs else "",
    ]
    return f"test accuracy {', '.join(filter(None, parts))}"


def _by_verdict(rows: pd.DataFrame, _pairs: pd.DataFrame) -> str:
    return "; ".join(f"{verdict} for {_listed(part)}" for verdict, part in _subjects(rows).items())


_WORDS: dict[str, Callable[[pd.DataFrame, pd.DataFrame], str]] = {
    "collapse": _collapse,
    "equal_features": _equal_features,
    "equal_accuracy": _equal_accuracy,
}


def _subjects(rows: pd.DataFrame) -> dict[str, list[str]]:
    return rows.groupby("verdict", sort=False)["subject"].agg(list).to_dict()


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _all(losses: int) -> str:
    if losses == 2:
        return "both losses"
    return f"all {_NUMBERS[losses] if losses < len(_NUMBERS) else losses} losses"


def _of(part: int, total: int) -> str:
    return (f"all {total} pairs" if total > 1 else "the one pair") if part == total else f"{part} of {total} pairs"


def _needed(row: pd.Series) -> str:
    """How many seeds would decide, where the ledger says so."""
    seeds = row.get("seeds_needed")
    return f", which {seeds:,.0f} seeds would decide" if seeds is not None and math.isfinite(seeds) else ""
