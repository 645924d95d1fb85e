"""Write docs/performance.md from what the benchmarks measured: `python benchmarks/write_page.py`."""

from __future__ import annotations

import json
from pathlib import Path

from harness import MEASURED

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

# In the order of the page.
NAMES = ("training", "jobs", "metrics", "extraction", "disk", "workflow", "checks", "ufm", "stacked")

INTRODUCTION = """\
# Performance

Written by `make bench`, which runs every benchmark of `benchmarks/`. Times drift from run to run; each ratio is the
median of both sides timed in turn in one run, with the smallest and the largest in brackets. A target that is missed is
written as missed.
"""


def page(folder: Path = MEASURED) -> str:
    """The page's text."""
    measured = {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES}
    head = ["figure", "alternative, in the same run", "ratio", "target", "met", "why not"]
    rows = [
        [row["figure"], row["alternative"], row["ratio"], row["target"], _yes(row["met"]), row["why"] or "–"]
        for benchmark in measured.values()
        for row in benchmark["rows"]
    ]
    parts = [INTRODUCTION, markdown(head, rows)]
    for name, benchmark in measured.items():
        parts.append(f"## {benchmark['title']}")
        parts.append(
            f"`python benchmarks/{name}.py`, {benchmark['date']}: {benchmark['machine']}; {benchmark['versions']}."
        )
        for table in benchmark["tables"]:
            parts += [table["caption"], markdown(table["head"], table["rows"])]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])


def _yes(met: bool | None) -> str:
    return {True: "yes", False: "no", None: "–"}[met]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
