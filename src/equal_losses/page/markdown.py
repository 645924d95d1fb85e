"""Tables of exported studies in a Markdown page, such as the README.

A table is between two markers, of which the first names it and the folders that it is made from, relative to the page:

    <!-- verdicts of docs/studies/fashion docs/studies/demo -->
    <!-- end -->
"""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from equal_losses.claims.ledger import COLUMNS
from equal_losses.page import atlas, verdicts
from equal_losses.page.section import Section
from equal_losses.running.errors import InputError
from equal_losses.running.files import atomic_path
from equal_losses.statistics import tables
from equal_losses.study.keys import PAGE_TABLES

_BEGIN = r"<!-- (\w+) of ([^>]+) -->\n"
# Never beyond the next marker, so that one that has lost its end takes nothing with it.
_MARKED = re.compile(rf"{_BEGIN}(?:(?!<!--).)*<!-- end -->", re.DOTALL)


def renew(page: Path) -> None:
    """Write a page again with its tables as the exported studies have them.

    Raises:
        InputError: where the page or a table cannot be read, or a marker is wrong.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{page}: {error.strerror}; expected a readable Markdown page") from error
    text = renewed(text, page)
    with atomic_path(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


def renewed(text: str, page: Path) -> str:
    """The text of a page with its tables as the exported studies have them."""
    begun, marked = re.findall(_BEGIN, text), _MARKED.findall(text)
    if not begun or len(begun) != len(marked):
        raise InputError(
            f"{page}: {len(begun)} marked tables, {len(marked)} with an end; expected one or more, each between "
            f"<!-- {' or '.join(_TABLES)} of FOLDER --> and <!-- end -->"
        )

    def table(match: re.Match) -> str:
        name, folders = match[1], match[2].split()
        if name not in _TABLES:
            raise InputError(f"{page}: table {name!r}; allowed: {', '.join(_TABLES)}")
        content = _TABLES[name]([page.parent / folder for folder in folders])
        return f"<!-- {name} of {' '.join(folders)} -->\n{content}\n<!-- end -->"

    return _MARKED.sub(table, text)


def _verdicts(folders: Sequence[Path]) -> str:
    """One row per claim about trained networks, one column per experiment."""
    ledgers = {name: ledger for folder in folders for name, ledger in _ledgers(folder).items()}
    compared = verdicts.compared(ledgers).items()
    return _table(["claim", *ledgers], [[claim, *map(_cell, cells)] for claim, cells in compared])


def _largest(folders: Sequence[Path]) -> str:
    """The largest configuration of every experiment: what was run, and one row per loss."""
    parts = []
    for folder in folders:
        for name in _ledgers(folder):
            paths = {table: str(folder / "tables" / name / f"{table}.csv") for table in PAGE_TABLES}
            section = Section.read(name, paths)
            design, table = section.design, section.largest
            rows = _table(table.head, table.rows)
            parts.append(f"`{name}`: {design['network']} on {design['images']}. {table.caption}\n\n{rows}")
    return "\n\n".join(parts)


def _losses(folders: Sequence[Path]) -> str:
    """The atlas of losses."""
    return _table(atlas.HEAD, atlas.rows(folders))


_TABLES = {"verdicts": _verdicts, "largest": _largest, "losses": _losses}


def _ledgers(folder: Path) -> dict[str, pd.DataFrame]:
    """The ledger of each experiment of an exported study."""
    return verdicts.ledgers(tables.read(folder / "claims.csv", COLUMNS))


def _cell(found: verdicts.Verdicts) -> str:
    """The verdict on a claim, or the verdicts, each with the losses that it is about."""
    if len(found) == 1 and len(next(iter(found.values()))) == 1:
        return next(iter(found))
    return "; ".join(f"{verdict}: {', '.join(subjects)}" for verdict, subjects in found.items())


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])
