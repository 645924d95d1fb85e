"""One experiment on the page: its tables in words, its figures, and what was run on what."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from docutils.core import publish_parts
from markupsafe import Markup

from equal_losses.datasets.prepared import PreparedDataset
from equal_losses.page import charts, sample
from equal_losses.running.files import read_json
from equal_losses.running.words import count
from equal_losses.statistics import tables
from equal_losses.study.keys import PAGE_TABLES

_LARGEST = {
    "training accuracy": ("final_accuracy_train", "{:.2%}"),
    "test accuracy": ("accuracy_test", "{:.2%}"),
    "NC1": ("nc1", "{:.4f}"),
    "NC2": ("nc2", "{:.4f}"),
    "NC3": ("nc3", "{:.4f}"),
    "NC2, W centered": ("nc2_centered", "{:.4f}"),
    "NC3, W centered": ("nc3_centered", "{:.4f}"),
}
_PARTS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Table:
    """A table on the page.

    Attributes:
        caption: what it shows.
        head: names of the columns.
        rows: cells, of which the first names the row.
        source: the CSV that it is made from, in full.
    """

    caption: str
    head: list[str]
    rows: list[list[str]]
    source: str

    @property
    def uri(self) -> str:
        """The CSV itself, as a data URI."""
        return data_uri("text/csv", self.source)


@dataclass(frozen=True)
class FigureImage:
    """A figure on the page.

    Attributes:
        name: its name in the study.
        path: the PNG, as the workflow calls it; the PDF is beside it.
        caption: what it shows, in reStructuredText, as in Snakemake's report.
        charted: whether the page's charts show the same.
    """

    name: str
    path: str
    caption: str
    charted: bool = False

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
        return data_uri("image/png", self.path)

    @property
    def pdf(self) -> str:
        """The figure for print, as a data URI."""
        return data_uri("application/pdf", Path(self.path).with_suffix(".pdf"))

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
        paths: of its tables `PAGE_TABLES`, by name.
        figures: its figures, in the order of the page.
        records: the run.json of every run.
        dataset: the images, or None where nothing is said of them.
        missing: which runs are missing; empty where none is.
    """

    name: str
    paths: Mapping[str, str]
    runs: pd.DataFrame
    trajectories: pd.DataFrame
    equivalence: pd.DataFrame
    correlation: pd.DataFrame
    figures: Sequence[FigureImage] = ()
    records: Sequence[Mapping] = ()
    dataset: PreparedDataset | None = None
    missing: str = ""

    @classmethod
    def read(
        cls,
        name: str,
        paths: Mapping[str, str],
        figures: Iterable[Mapping] = (),
        records: Iterable[str] = (),
        dataset: str | None = None,
        missing: str = "",
    ) -> Section:
        """Read an experiment from the files of its tables and records; arguments as in `page.write`."""
        return cls(
            name,
            paths,
            **{table: tables.read(paths[table], tables.COLUMNS[table]) for table in PAGE_TABLES},
            figures=[FigureImage(**figure) for figure in figures],
            records=[read_json(path) for path in records],
            dataset=PreparedDataset.open(dataset) if dataset else None,
            missing=missing,
        )

    @property
    def design(self) -> dict[str, str]:
        """What was run."""
        runs = self.runs
        return {
            "images": runs["dataset"].iloc[0],
            "network": runs["network"].iloc[0],
            "losses": listed(runs["loss"]),
            "widths": listed(runs["width"]),
            "epochs": listed(runs["epochs"]),
            "seeds": listed(runs["seed"]),
            "trainings": f"{len(runs)}",
        }

    @property
    def images(self) -> dict[str, str]:
        """What it was run on."""
        manifest = self.dataset.manifest
        height, width, channels = manifest["image_shape"]
        counts = {part: sum(manifest["counts"][part]) for part in _PARTS}
        return {
            "classes": f"{self.dataset.class_count}",
            "images": ", ".join(f"{counts[part]:,} for {words}" for part, words in _PARTS.items()),
            "size": f"{width} × {height} pixels, {'grey' if channels == 1 else count(channels, 'channel')}",
        }

    @property
    def sample(self) -> list[sample.Strip]:
        """A few of the images."""
        return sample.strips(self.dataset)

    @property
    def trained_on(self) -> str:
        """The images, as the answer begins with them."""
        return f"On {sum(self.dataset.manifest['counts']['train']):,} images of {self.design['images']}"

    @property
    def effort(self) -> dict[str, str]:
        """How long it took, on what."""
        hours = sum(record["train_seconds"] for record in self.records) / 3600
        return {
            "processor": listed(record["device"] for record in self.records),
            "training": f"{hours:.2f} hours, all runs (epochs that runs share are counted in each of them)",
        }

    @property
    def provenance(self) -> dict[str, str]:
        """With which code and data, and when."""
        records = self.records
        ends = sorted(record["finished"] for record in records)
        versions = sorted(
            {", ".join(f"{name} {value}" for name, value in record["versions"].items()) for record in records}
        )
        return {
            "runs finished": f"{ends[0]} to {ends[-1]}",
            "versions": "; ".join(versions),
            "commit": listed(record["commit"] or "outside a checkout" for record in records),
            "data (SHA-256, its beginning)": listed(
                f"{name} {value[:12]}" for record in records for name, value in record["data_sha256"].items()
            ),
        }

    @property
    def chart_data(self) -> dict:
        """The numbers that the charts are drawn from."""
        return charts.data(self.runs, self.trajectories)

    @property
    def axes(self) -> dict[str, list[str]]:
        """What a chart may show of each axis of the grid."""
        names = {"losses": "loss", "widths": "width", "budgets": "epochs", "seeds": "seed"}
        return {axis: [cell(value) for value in dict.fromkeys(self.runs[name])] for axis, name in names.items()}

    @property
    def largest_size(self) -> dict[str, list[str]]:
        """What of it the largest configuration has."""
        return {"widths": [cell(self.runs["width"].max())], "budgets": [cell(self.runs["epochs"].max())]}

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
        return Table(f"{caption}; zero is full collapse.", ["loss", *_LARGEST], rows, self.paths["runs"])

    @property
    def every_run(self) -> Table:
        """One row per run."""
        rows = [
            [
                row["loss"],
                *(cell(row[axis]) for axis in ("width", "epochs", "seed")),
                *(style.format(row[column]) for column, style in _LARGEST.values()),
            ]
            for row in self.runs.to_dict("records")
        ]
        head = ["loss", "width", "epochs", "seed", *_LARGEST]
        return Table("Every run.", head, rows, self.paths["runs"])

    @property
    def pairs(self) -> Table:
        """The pairs of losses at every (width, epochs)."""
        rows = [
            [
                f"{row.first_loss} − {row.second_loss}",
                f"{row.width:g}",
                f"{row.epochs}",
                f"{100 * row.difference:+.2f}",
                _interval(100 * row.interval_low, 100 * row.interval_high),
                f"{row.seeds}",
                row.verdict,
            ]
            for row in self.equivalence.itertuples()
        ]
        head = ["pair", "width", "epochs", "difference, points", "interval, points", "seeds", "verdict"]
        caption = "Test accuracy of every pair of losses, paired by seed."
        return Table(caption, head, rows, self.paths["equivalence"])

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
        return Table(caption, head, rows, self.paths["correlation"])


def data_uri(kind: str, path: str | Path) -> str:
    """A file, as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


def listed(values: Iterable) -> str:
    """Different values, in order."""
    return ", ".join(map(cell, dict.fromkeys(values)))


def cell(value: object) -> str:
    """A value in words; nothing where it is missing."""
    return "" if pd.isna(value) else f"{value:g}" if isinstance(value, float) else f"{value}"


def _interval(low: float, high: float) -> str:
    return "–" if pd.isna(low) else f"{low:+.2f} to {high:+.2f}"
