"""What a figure says about the runs that it shows."""

from __future__ import annotations

import pandas as pd

from equal_losses.running.words import count

NC1 = {"nc1": "$\\mathcal{NC}_1$: variability collapse"}
AS_IN_THE_PAPER = {**NC1, "nc2": "$\\mathcal{NC}_2$: simplex ETF", "nc3": "$\\mathcal{NC}_3$: self-duality"}


def setting(table: pd.DataFrame) -> str:
    """What was run, so that no figure can be mistaken for that of another study."""
    row = table.iloc[0]
    return f"{row['experiment']}: {row['network']} on {row['dataset']}"


def setting_of_largest(trajectories: pd.DataFrame) -> str:
    """What was run, with the largest width and budget, where lines over the epochs are drawn."""
    row = largest(trajectories).iloc[0]
    size = f"width {row['width']:g}, {count(row['epochs'], 'epoch')}, {seeds(trajectories['seed'])}"
    return f"{setting(trajectories)}, {size} (line: mean, band: range)"


def seeds(numbers: pd.Series) -> str:
    """How many different seeds there are."""
    return count(numbers.nunique(), "seed")


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the largest width and the largest budget."""
    return table[(table["width"] == table["width"].max()) & (table["epochs"] == table["epochs"].max())]
