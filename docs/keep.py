"""Keep a finished study for readers: `python docs/keep.py demo` after `make report` copies its tables, figures and page
from results/ to docs/studies/demo, and writes the README's tables anew from all studies that are kept."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
STUDIES = ROOT / "docs" / "studies"
README = ROOT / "README.md"

# In the order of the README.
NAMES = ("fashion", "demo")
FIGURES = ("overview", "equivalence", "alignment_cka", "alignment_procrustes", "collapse_and_accuracy", "nc_evolution")
TABLES = ("runs", "equivalence", "correlation", "alignment")
THEORY_TABLES = ("claims", "minima", "bias_sweep", "critical_points", "definition", "focal_convexity")
COLUMNS = {
    "training accuracy": ("final_accuracy_train", "{:.2%}"),
    "test accuracy": ("accuracy_test", "{:.2%}"),
    "NC1": ("nc1", "{:.4f}"),
    "NC2": ("nc2", "{:.4f}"),
    "NC3": ("nc3", "{:.4f}"),
    "NC2 centered": ("nc2_centered", "{:.4f}"),
    "NC3 centered": ("nc3_centered", "{:.4f}"),
}


def keep(name: str, results: Path, target: Path) -> None:
    """Copy what readers want of the experiment `name`, and the records of all its runs as one list, run.json."""
    target.mkdir(parents=True, exist_ok=True)
    files = [results / "tables" / name / f"{table}.csv" for table in TABLES]
    files += [results / "figures" / name / f"{figure}.png" for figure in FIGURES]
    for file in [*files, results / "claims.csv"]:
        shutil.copy(file, target)
    shutil.copy(results / "report" / "page.html", target / "report.html")
    records = [json.loads(path.read_text()) for path in sorted((results / "runs" / name).rglob("run.json"))]
    (target / "run.json").write_text(json.dumps(records, indent=1) + "\n")


def keep_theory(results: Path, target: Path) -> None:
    """Copy the theory's figures and those of its tables that are small: minima.csv is the grid against the theorem."""
    target.mkdir(parents=True, exist_ok=True)
    tables = [results / "theory" / "tables" / f"{table}.csv" for table in THEORY_TABLES]
    for file in [*(results / "theory" / "figures").glob("*.png"), *tables]:
        shutil.copy(file, target)


def largest_table(name: str) -> str:
    """The largest configuration of a kept study in Markdown: what was run, then a row a loss."""
    runs = pd.read_csv(STUDIES / name / "runs.csv")
    largest = runs[(runs["width"] == runs["width"].max()) & (runs["epochs"] == runs["epochs"].max())]
    means = largest.groupby("loss", sort=False)[[column for column, _ in COLUMNS.values()]].mean()
    rows = [
        [loss, *(style.format(row[column]) for column, style in COLUMNS.values())] for loss, row in means.iterrows()
    ]
    row = largest.iloc[0]
    setting = (
        f"`{name}`: {row['network']} on {row['dataset']}, width {row['width']:g}, {row['epochs']} epochs, mean over "
    )
    return f"{setting}{largest['seed'].nunique()} seeds.\n\n{_markdown(['loss', *COLUMNS], rows)}"


def verdict_table() -> str:
    """The verdicts of all kept studies in Markdown: a row a claim."""
    ledgers = {name: pd.read_csv(STUDIES / name / "claims.csv") for name in NAMES}
    trained = {name: ledger[ledger["experiment"] != "theory"] for name, ledger in ledgers.items()}
    claims = dict.fromkeys(claim for ledger in trained.values() for claim in ledger["claim"])
    rows = [[claim, *(_verdicts(ledger[ledger["claim"] == claim]) for ledger in trained.values())] for claim in claims]
    return _markdown(["what the paper says", *NAMES], rows)


def _verdicts(rows: pd.DataFrame) -> str:
    if len(rows) == 1:
        return rows["verdict"].iloc[0]
    groups = rows.groupby("verdict", sort=False)["subject"].agg(list)
    return "; ".join(f"{verdict}: {', '.join(subjects)}" for verdict, subjects in groups.items())


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def renewed(text: str) -> str:
    """The README's text with its tables as the kept studies have them."""
    tables = {f"{name} table": largest_table(name) for name in NAMES} | {"verdicts": verdict_table()}
    for marker, table in tables.items():
        begin, end = f"<!-- {marker}: begin -->\n", f"<!-- {marker}: end -->"
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = f"{before}{begin}{table}\n{end}{after}"
    return text


if __name__ == "__main__":
    for study in sys.argv[1:]:
        if study == "theory":
            keep_theory(Path("results"), STUDIES / study)
        else:
            keep(study, Path("results"), STUDIES / study)
    README.write_text(renewed(README.read_text()))
