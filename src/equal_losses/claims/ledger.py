"""The ledger: each claim, the rule that decides it, the numbers, and the verdict for this study."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from equal_losses.claims.evidence import NOT_DECIDED, NOT_SUPPORTED, SUPPORTED, Evidence, Finding
from equal_losses.claims.zhou2022 import CLAIMS as ZHOU_2022
from equal_losses.claims.zhou2022 import THEOREMS
from equal_losses.running.words import count

COLUMNS = ("name", "claim", "experiment", "subject", "verdict", "numbers", "rule", "source", "seeds", "seeds_needed")

# The claims of each paper, in the order of the ledger.
CLAIMS = [
    *ZHOU_2022,
]

_THEORY_RULE = "Every computed statement of this place holds within its tolerance, or without a case against it."


def ledger(experiments: Mapping[str, Evidence], statements: pd.DataFrame) -> pd.DataFrame:
    """Every claim on every experiment, then the theorems.

    Args:
        experiments: the evidence by the name of the experiment.
        statements: the table `statements` of the theory (see `theory.statements`).

    Returns:
        One row per claim, experiment and subject (a loss, or all of them), with the columns `COLUMNS`.
    """
    rows = []
    for claim in CLAIMS:
        for name, evidence in experiments.items():
            rule = claim.rule.format_map({key: f"{value:g}" for key, value in evidence.thresholds.items()})
            for finding in claim.decide(evidence):
                subject, numbers, verdict, needed = Finding(*finding)
                words = (claim.name, claim.statement, name, subject, verdict, numbers, rule, claim.source)
                rows.append((*words, evidence.seeds, needed))
    return pd.DataFrame([*rows, *_theorems(statements)], columns=COLUMNS)


def undecided(ledger: pd.DataFrame, experiment: str, missing: str, losses: Sequence[str]) -> pd.DataFrame:
    """The ledger of an experiment of which runs are missing: whatever would need them is not decided.

    Args:
        missing: which runs are missing, in words.
        losses: those of which runs are missing; what is said of all losses needs them, too.
    """
    of_one = set(ledger["subject"]) & set(ledger.loc[ledger["name"] == "training_accuracy", "subject"]) - set(losses)
    open_ = (ledger["experiment"] == experiment) & ~ledger["subject"].isin(of_one)
    return ledger.assign(
        verdict=ledger["verdict"].mask(open_, NOT_DECIDED),
        numbers=ledger["numbers"].mask(open_, ledger["numbers"] + f"; {missing}"),
    )


def _theorems(statements: pd.DataFrame) -> Iterator[tuple]:
    """One row per theorem and loss; what the paper does not claim (derived here, or beyond it) comes last."""
    order = {source: place for place, source in enumerate(THEOREMS)}
    groups = statements.groupby([statements["source"], statements["loss"].fillna("")], sort=False)
    for (source, loss), rows in sorted(groups, key=lambda group: order.get(group[0][0], len(order))):
        # The same statement at several sizes is one statement here.
        computed = dict.fromkeys(rows["claim"].str.replace(r", K = .*", "", regex=True))
        theorem = THEOREMS.get(source, f"Beyond the paper: {'; '.join(computed)}.")
        supported = rows["supported"].astype(bool)
        numbers = f"{count(len(rows), 'statement')}, {count(int(rows['cases'].sum()), 'case')}"
        measured = rows[rows["tolerance"].notna() & supported]
        if len(measured):
            worst = measured.loc[measured["largest_error"].idxmax()]
            numbers += f"; largest error {worst['largest_error']:.1e}, tolerance {worst['tolerance']:g}"
        numbers = "; ".join([numbers, *rows["numbers"].dropna()])
        for _, row in rows[~supported].iterrows():
            error = f"{row['largest_error']:.0%} of cases against it"
            if not np.isnan(row["tolerance"]):
                error = f"error {row['largest_error']:.2g}"
            numbers += f"; fails: {row['claim']} ({error})"
        verdict = SUPPORTED if supported.all() else NOT_SUPPORTED
        yield source, theorem, "theory", loss, verdict, numbers, _THEORY_RULE, source, np.nan, np.nan
