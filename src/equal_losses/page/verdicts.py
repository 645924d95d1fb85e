"""The verdicts of several experiments side by side."""

from collections.abc import Mapping

import pandas as pd

# Subjects (losses) by verdict.
Verdicts = dict[str, list[str]]


def ledgers(ledger: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The ledger of each experiment of a study, without the theory, which has no seeds."""
    return dict(iter(ledger.dropna(subset="seeds").groupby("experiment", sort=False)))


def compared(ledgers: Mapping[object, pd.DataFrame]) -> dict[str, list[Verdicts]]:
    """The verdicts on each claim, in the order of the ledgers; empty where a ledger does not have the claim."""
    claims = dict.fromkeys(claim for ledger in ledgers.values() for claim in ledger["claim"])
    return {
        claim: [
            ledger[ledger["claim"] == claim].groupby("verdict", sort=False)["subject"].agg(list).to_dict()
            for ledger in ledgers.values()
        ]
        for claim in claims
    }
