"""The atlas of losses: what each is, what the theory says of it, and what trained networks did, as rows of a table."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from equal_losses.claims.ledger import COLUMNS
from equal_losses.statistics import tables
from equal_losses.study import kinds

HEAD = ["loss", "formula", "Definition 1", "minimiser in Eq. (7)", "margin", "what breaks it", "trained networks"]
COLLAPSE = "collapse"  # the claim of the ledger about trained networks


def rows(folders: Sequence[Path]) -> list[list[str]]:
    """One row per loss, with the columns `HEAD`, at the first number of classes of the table `conjecture`.

    Args:
        folders: exported studies: one with the theory, and any others. All give their verdicts on collapse in networks
            that were trained under losses of the same names.

    Raises:
        InputError: where a table cannot be read.
    """
    decided = tables.read(folders[0] / "theory" / "tables" / "conjecture.csv", ("loss", "collapses"))
    ledgers = pd.concat([tables.read(folder / "claims.csv", COLUMNS) for folder in folders])
    trained = ledgers[ledgers["name"] == COLLAPSE]
    losses = decided.drop_duplicates("loss").itertuples()
    return [_row(loss, trained[trained["subject"] == loss.loss]) for loss in losses]


def _row(loss: tuple, trained: pd.DataFrame) -> list[str]:
    parameters = f" ({loss.parameters})" if isinstance(loss.parameters, str) else ""
    cells = [
        f"{loss.loss}: `{loss.kind}`{parameters}",
        kinds.caption("losses", loss.kind),
        loss.verdict,
        _minimiser(loss),
        f"{loss.margin_closed_form:.6f}" if loss.collapses else f"{loss.margin:.6f} on average",
        "; ".join(text for text in (loss.counterexample, loss.counterexample_at_c) if isinstance(text, str)),
        "; ".join(f"{row.experiment}: {row.verdict}" for row in trained.itertuples()),
    ]
    return [cell.replace("|", "\\|") for cell in cells]


def _minimiser(loss: tuple) -> str:
    """What the global minimisers are, and how that is known."""
    if not loss.collapses:
        return f"no neural collapse: objective {loss.objective:.6f}, collapse has {loss.objective_closed_form:.6f}"
    if loss.theorem_1 == "no bias":
        found = f"{loss.lowest_starts} of {loss.starts} random starts"
        return f"neural collapse; with no bias by the bound of one sample, with one from {found}"
    return f"neural collapse; by the bound of one sample, for {loss.theorem_1}"
