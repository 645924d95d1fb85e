"""The page for readers: the question, the verdicts, the figures and tables, what it took, and how to run it again.

One HTML file that needs no network and no script; everything on it comes from files that the workflow wrote.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from equal_losses.claims.evidence import NOT_DECIDED, NOT_SUPPORTED, SUPPORTED
from equal_losses.claims.ledger import CLAIMS, COLUMNS
from equal_losses.running.files import atomic_path, read_json
from equal_losses.running.words import count
from equal_losses.statistics import tables

# A sign for each verdict beside its word, so that neither colour nor sight is needed.
SIGNS = {SUPPORTED: "✓", NOT_SUPPORTED: "✗", NOT_DECIDED: "?"}

_LARGEST = {
    "training accuracy": ("final_accuracy_train", "{:.2%}"),
    "test accuracy": ("accuracy_test", "{:.2%}"),
    "NC1": ("nc1", "{:.4f}"),
    "NC2": ("nc2", "{:.4f}"),
    "NC3": ("nc3", "{:.4f}"),
    "NC2, W centered": ("nc2_centered", "{:.4f}"),
    "NC3, W centered": ("nc3_centered", "{:.4f}"),
}

# Caption, head and rows.
Table = tuple[str, list[str], list[list[str]]]


@dataclass(frozen=True)
class FigureImage:
    """A figure on the page.

    Attributes:
        name: its name in the study.
        path: the PNG, as the workflow calls it.
        caption: what it shows, in reStructuredText, as in Snakemake's report.
    """

    name: str
    path: str
    caption: str

    @property
    def identifier(self) -> str:
        """A name for links on the page."""
        return f"figure-{'-'.join(Path(self.path).with_suffix('').parts[-2:])}"

    @property
    def caption_html(self) -> Markup:
        """The caption as HTML."""
        return Markup(publish_parts(self.caption, writer="html5")["body"])

    @property
    def alternative(self) -> str:
        """The caption without markup, for those who do not see the image."""
        return self.caption_html.striptags()

    @property
    def uri(self) -> str:
        """The image itself, as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(Path(self.path).read_bytes()).decode()}"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, from the PNG's header."""
        with open(self.path, "rb") as file:
            return struct.unpack(">II", file.read(24)[16:])


@dataclass(frozen=True)
class Section:
    """One experiment on the page.

    Attributes:
        name: of the experiment.
        runs, equivalence, correlation: its tables.
        figures: its figures, in the order of the page.
        records: the run.json of every run.
    """

    name: str
    runs: pd.DataFrame
    equivalence: pd.DataFrame
    correlation: pd.DataFrame
    figures: list[FigureImage]
    records: list[Mapping]

    @classmethod
    def read(cls, name: str, tables: Mapping[str, str], figures: Iterable[Mapping], records: Iterable[str]) -> Section:
        """Read an experiment from the files of its tables and records; arguments as in `write`."""
        return cls(
            name,
            **{table: _table(table, tables[table]) for table in ("runs", "equivalence", "correlation")},
            figures=[FigureImage(**figure) for figure in figures],
            records=[read_json(path) for path in records],
        )

    @property
    def design(self) -> dict[str, str]:
        """What was run."""
        runs = self.runs
        return {
            "images": runs["dataset"].iloc[0],
            "network": runs["network"].iloc[0],
            "losses": _listed(runs["loss"]),
            "widths": _listed(runs["width"]),
            "epochs": _listed(runs["epochs"]),
            "seeds": _listed(runs["seed"]),
            "trainings": f"{len(runs)}",
        }

    @property
    def provenance(self) -> dict[str, str]:
        """How long it took, on what, with which code and data."""
        records = self.records
        hours = sum(record["train_seconds"] for record in records) / 3600
        ends = sorted(record["finished"] for record in records)
        versions = sorted(
            {", ".join(f"{name} {value}" for name, value in record["versions"].items()) for record in records}
        )
        return {
            "training time, all runs": f"{hours:.2f} hours (epochs that runs share are counted in each of them)",
            "runs finished": f"{ends[0]} to {ends[-1]}",
            "device": _listed(record["device"] for record in records),
            "versions": "; ".join(versions),
            "commit": _listed(record["commit"] or "outside a checkout" for record in records),
            "data (SHA-256, its beginning)": _listed(
                f"{name} {value[:12]}" for record in records for name, value in record["data_sha256"].items()
            ),
        }

    @property
    def largest(self) -> Table:
        """The largest configuration, the mean over the seeds."""
        runs = self.runs
        width, epochs = runs["width"].max(), runs["epochs"].max()
        chosen = runs[(runs["width"] == width) & (runs["epochs"] == epochs)]
        means = chosen.groupby("loss", sort=False)[[column for column, _ in _LARGEST.values()]].mean()
        rows = [
            [loss, *(style.format(row[column]) for column, style in _LARGEST.values())]
            for loss, row in means.iterrows()
        ]
        caption = f"Width {width:g}, {count(epochs, 'epoch')}, mean over {count(runs['seed'].nunique(), 'seed')}"
        return f"{caption}; zero is full collapse.", ["loss", *_LARGEST], rows

    @property
    def pairs(self) -> Table:
        """The pairs of losses at every (width, epochs)."""
        rows = [
            [
                f"{row.width:g}",
                f"{row.epochs}",
                f"{row.first_loss} − {row.second_loss}",
                f"{100 * row.difference:+.2f}",
                _interval(100 * row.interval_low, 100 * row.interval_high),
                f"{row.seeds}",
                row.verdict,
            ]
            for row in self.equivalence.itertuples()
        ]
        head = ["width", "epochs", "pair", "difference, points", "interval, points", "seeds", "verdict"]
        return "Test accuracy of every pair of losses, paired by seed.", head, rows

    @property
    def correlations(self) -> Table:
        """The rank correlations of collapse with test accuracy."""
        rows = [
            [
                row.metric.upper(),
                row.held,
                "–" if pd.isna(row.correlation) else f"{row.correlation:+.2f}",
                _interval(row.interval_low, row.interval_high),
            ]
            for row in self.correlation.itertuples()
        ]
        head = ["metric", "held constant", "rank correlation", "interval"]
        caption = "Test accuracy against collapse, over all runs; below zero: the more collapsed, the more accurate."
        return caption, head, rows


def write(
    path: str | Path,
    *,
    template: str | Path,
    sections: Iterable[Mapping],
    claims: str | Path,
    theory: Iterable[Mapping],
    command: str,
) -> None:
    """Write the page.

    Args:
        template: the page in Jinja.
        sections: of each experiment its name, the paths of its tables (runs, equivalence, correlation) by name, its
            figures in order, and the paths of all runs' records.
        claims: the ledger as CSV (see `claims.ledger`).
        theory: figures of the theory. As in an experiment, each is a name, the path of a PNG and a caption in
            reStructuredText.
        command: how Snakemake is called on this study, without a target.

    Raises:
        InputError: where a table or a record is missing, cut off or something else.
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    ledger = tables.read(claims, COLUMNS)[list(COLUMNS)]
    content = environment.from_string(Path(template).read_text(encoding="utf-8")).render(
        path=path,
        sections=[Section.read(**section) for section in sections],
        claims=claims,
        ledger=[{name: _cell(value) for name, value in row.items()} for row in ledger.to_dict("records")],
        columns=COLUMNS,
        theory=[FigureImage(**figure) for figure in theory],
        command=command,
        signs=SIGNS,
        questions={claim.question: claim.name for claim in CLAIMS if claim.question},
    )
    with atomic_path(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


def _table(name: str, path: str) -> pd.DataFrame:
    return tables.read(path, tables.COLUMNS[name])


def _listed(values: Iterable) -> str:
    return ", ".join(map(_cell, dict.fromkeys(values)))


def _cell(value: object) -> str:
    return "" if pd.isna(value) else f"{value:g}" if isinstance(value, float) else f"{value}"


def _interval(low: float, high: float) -> str:
    return "–" if pd.isna(low) else f"{low:+.2f} to {high:+.2f}"
