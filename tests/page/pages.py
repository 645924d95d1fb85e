"""A page of a small experiment, from files as the workflow leaves them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from matplotlib.figure import Figure

from equal_losses.claims.evidence import Evidence
from equal_losses.claims.ledger import ledger
from equal_losses.datasets._images import Images
from equal_losses.datasets.prepared import prepare
from equal_losses.figures import experiment, style
from equal_losses.page import page
from equal_losses.running.files import write_json
from equal_losses.statistics import tables
from equal_losses.statistics.correlation import correlation
from equal_losses.statistics.equivalence import equivalence

from ..statistics.experiments import alignment_of, runs_on_disk

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "workflow" / "report"
THRESHOLDS = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())["evidence"]
STATEMENTS = pd.DataFrame(
    [
        ("all norms equal", "Theorem 1", "CE", 80, 1e-9, 1e-5, True, None),
        ("t* unique", "Definition 1", "FL", 9, 1, None, False, None),
    ],
    columns=["claim", "source", "loss", "cases", "largest_error", "tolerance", "supported", "numbers"],
)
RECORD = {
    "train_seconds": 1800,
    "finished": "2024-01-01T00:00:00+00:00",
    "versions": {"python": "3.11"},
    "device": "CPU, 1 thread",
    "commit": None,
    "data_sha256": {"images_train.npy": "0123456789abcdef"},
}
COMMAND = "snakemake --configfile study.yaml --cores 2"


@dataclass
class Page:
    """The arguments of `page.write`, and where it wrote."""

    path: Path
    arguments: dict

    def table(self, name: str) -> pd.DataFrame:
        """A table of the experiment."""
        return tables.read(self.arguments["sections"][0]["paths"][name])

    @property
    def ledger(self) -> pd.DataFrame:
        """The claims."""
        return tables.read(self.arguments["claims"])

    @property
    def figures(self) -> list[dict]:
        """Figures of the experiment and of the theory."""
        return [*self.arguments["sections"][0]["figures"], *self.arguments["theory"]]

    def write(self) -> str:
        """Write the page and return it."""
        page.write(self.path, **self.arguments)
        return self.path.read_text(encoding="utf-8")


def toy_page(folder: Path, kinds: tuple[str, ...] = ("nc_evolution", "test_accuracy", "alignment_cka")) -> Page:
    """Write all files that a page shows, and the page."""
    runs, trajectories = tables.collect(**runs_on_disk(folder))
    made = {
        "runs": runs,
        "trajectories": trajectories,
        "alignment": alignment_of(runs),
        "equivalence": equivalence(runs, margin=0.01, significance=0.05),
        "correlation": correlation(runs, significance=0.05, resamples=100, seed=0),
    }
    paths = {name: folder / "tables" / f"{name}.csv" for name in made}
    for name, table in made.items():
        tables.write(paths[name], table)
    evidence = Evidence(runs, made["equivalence"], made["alignment"], THRESHOLDS)
    tables.write(folder / "claims.csv", ledger({"toy": evidence}, STATEMENTS))
    figures = []
    for kind in kinds:
        draw = experiment.load(kind)
        path = folder / "figures" / "toy" / f"{kind}.png"
        drawn_from = inspect.signature(draw).parameters
        style.save(draw(*(made[table] for table in drawn_from)), path, path.with_suffix(".pdf"))
        figures.append({"name": kind, "path": str(path), "caption": inspect.getdoc(draw)})
        figures[-1]["charted"] = "alignment" not in drawn_from
    descent = folder / "figures" / "theory" / "descent.png"
    style.save(Figure(figsize=(4, 1)), descent, descent.with_suffix(".pdf"))
    theory = {"name": "descent", "path": str(descent)}
    write_json(folder / "run.json", RECORD)
    section = {"name": "toy", "paths": paths, "figures": figures, "records": [folder / "run.json"] * 2}
    section["dataset"] = toy_images(folder / "dataset")
    arguments = {
        "templates": TEMPLATES,
        "sections": [section],
        "claims": folder / "claims.csv",
        "theory": [{**theory, "caption": "**Computed.** Gradient descent from one random start for all losses."}],
        "command": COMMAND,
    }
    built = Page(folder / "report.html", arguments)
    built.write()
    return built


def toy_images(folder: Path, classes: tuple[str, ...] = ("night", "day"), channels: int = 1) -> Path:
    """Prepare 20 images of each class, one colour to a class, and return the manifest."""
    labels = np.repeat(np.arange(len(classes)), 20)
    shades = np.linspace(0, 255, len(classes)).astype(np.uint8)
    images = np.tile(shades[labels, None, None, None], (1, 8, 6, channels))
    prepare(
        folder,
        Images(images, labels, None, None, list(classes)),
        split_seed=0,
        stratified=True,
        validation_fraction=0.25,
        test_fraction=0.2,
    )
    return folder / "manifest.json"
