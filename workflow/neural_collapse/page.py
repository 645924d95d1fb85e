"""The page for readers: the question, the verdicts, the figures and tables, what it took, and how to rerun it.

One HTML file that needs no network and no script; everything on it comes from what the workflow wrote. Nothing here
imports PyTorch.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from docutils.core import publish_parts
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .claims import COLUMNS, NOT_DECIDED, NOT_SUPPORTED, SUPPORTED
from .files import atomic_path, read_json

TEMPLATES = Path(__file__).parents[1] / "report"

# A sign for each verdict beside its word, so that neither colour nor sight is needed.
SIGNS = {SUPPORTED: "✓", NOT_SUPPORTED: "✗", NOT_DECIDED: "?"}

# What a reader asks first, and the claims that answer it.
QUESTIONS = {
    "Do all losses end in the same geometry?": "neural_collapse",
    "Are the features equal up to rotation and scale?": "equal_features",
    "Is test accuracy the same?": "equal_accuracy",
}

_LARGEST = {
    "training accuracy": ("final_accuracy_train", "{:.2%}"),
    "test accuracy": ("accuracy_test", "{:.2%}"),
    "NC1": ("nc1", "{:.4f}"),
    "NC2": ("nc2", "{:.4f}"),
    "NC3": ("nc3", "{:.4f}"),
    "NC2, W centered": ("nc2_centered", "{:.4f}"),
    "NC3, W centered": ("nc3_centered", "{:.4f}"),
}


@dataclass(frozen=True)
class FigureImage:
    """A figure on the page.

    Attributes:
        name: its name in the study.
        path: the PNG, as the workflow calls it.
        caption: what it shows, in reStructuredText, as Snakemake's report has it.
    """

    name: str
    path: Path
    caption: str

    @property
    def identifier(self) -> str:
        """A name for links on the page."""
        return f"figure-{'-'.join(self.path.with_suffix('').parts[-2:])}"

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
        return f"data:image/png;base64,{base64.b64encode(self.path.read_bytes()).decode()}"

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
    def read(
        cls, name: str, tables: Mapping[str, Path], figures: list[FigureImage], records: Iterable[Path]
    ) -> Section:
        """Read the tables `runs`, `equivalence` and `correlation` and the records."""
        parts = {table: pd.read_csv(tables[table]) for table in ("runs", "equivalence", "correlation")}
        return cls(name, **parts, figures=figures, records=[read_json(path) for path in records])

    @property
    def losses(self) -> list[str]:
        """Losses in the order of the study."""
        return list(dict.fromkeys(self.runs["loss"]))

    @property
    def what(self) -> dict[str, str]:
        """What was run."""
        runs = self.runs
        return {
            "images": runs["dataset"].iloc[0],
            "network": runs["network"].iloc[0],
            "losses": ", ".join(self.losses),
            "widths": _listed(runs["width"]),
            "epochs": _listed(runs["epochs"]),
            "seeds": _listed(runs["seed"]),
            "trainings": f"{len(runs)}",
        }

    @property
    def how(self) -> dict[str, str]:
        """How long it took, on what, with which code."""
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
    def largest(self) -> tuple[str, list[str], list[list[str]]]:
        """Caption, head and rows of the table of the largest configuration, the mean over the seeds."""
        runs = self.runs
        width, epochs = runs["width"].max(), runs["epochs"].max()
        chosen = runs[(runs["width"] == width) & (runs["epochs"] == epochs)]
        means = chosen.groupby("loss", sort=False)[[column for column, _ in _LARGEST.values()]].mean()
        seeds = runs["seed"].nunique()
        rows = [
            [loss, *(style.format(row[column]) for column, style in _LARGEST.values())]
            for loss, row in means.iterrows()
        ]
        caption = f"Width {width:g}, {epochs} epochs, mean over {seeds} seed{'' if seeds == 1 else 's'}"
        return f"{caption}; zero is full collapse.", ["loss", *_LARGEST], rows

    @property
    def pairs(self) -> tuple[str, list[str], list[list[str]]]:
        """Caption, head and rows of the table of pairs at every (width, epochs)."""
        rows = [
            [
                f"{row.width:g}",
                f"{row.epochs}",
                f"{row.first_loss} − {row.second_loss}",
                f"{100 * row.difference:+.2f}",
                "–"
                if pd.isna(row.interval_low)
                else f"{100 * row.interval_low:+.2f} to {100 * row.interval_high:+.2f}",
                f"{row.seeds}",
                row.verdict,
            ]
            for row in self.equivalence.itertuples()
        ]
        head = ["width", "epochs", "pair", "difference, points", "interval, points", "seeds", "verdict"]
        return "Test accuracy of every pair of losses, paired by seed.", head, rows

    @property
    def correlations(self) -> tuple[str, list[str], list[list[str]]]:
        """Caption, head and rows of the table of rank correlations."""
        rows = [
            [row.metric.upper(), row.held, "–", "–"]
            if pd.isna(row.correlation)
            else [
                row.metric.upper(),
                row.held,
                f"{row.correlation:+.2f}",
                f"{row.interval_low:+.2f} to {row.interval_high:+.2f}",
            ]
            for row in self.correlation.itertuples()
        ]
        head = ["metric", "held constant", "rank correlation", "interval"]
        return (
            "Test accuracy against collapse, over all runs; below zero: the more collapsed, the more accurate.",
            head,
            rows,
        )


def write(
    path: str | Path,
    *,
    sections: list[Section],
    ledger: pd.DataFrame,
    theory: list[FigureImage],
    command: str,
    explorer: str | None = None,
) -> None:
    """Write the page.

    Args:
        sections: the experiments.
        ledger: the table of claims (see `claims.ledger`).
        theory: figures of the theory.
        command: how Snakemake is called on this study, without a target.
        explorer: another HTML page to show at the end, where every result can be browsed.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    content = environment.get_template("page.html.jinja").render(
        sections=sections,
        ledger=[
            dict(zip(COLUMNS, row, strict=True)) for row in ledger[list(COLUMNS)].fillna("").itertuples(index=False)
        ],
        columns=COLUMNS,
        theory=theory,
        command=command,
        explorer=explorer,
        signs=SIGNS,
        questions=QUESTIONS,
    )
    with atomic_path(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


def _listed(values: Iterable) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else f"{value}" for value in dict.fromkeys(values))
