"""Studies of tests: changed configurations, and their steps, for which the code is read once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from equal_losses.running.sources import ROOT
from equal_losses.study import configuration
from equal_losses.study.fingerprints import Codebase
from equal_losses.study.grid import Run, Study
from equal_losses.study.keys import Steps

SHIPPED = (
    "demo.yaml",
    "fashion.yaml",
    "paper.yaml",
    "paper.yaml released-code.yaml",
    "paper.yaml paper-miniature.yaml",
    "theory.yaml",
    "losses.yaml",
)
# The packages of kinds.
PACKAGES = (
    "losses",
    "heads",
    "networks",
    "datasets",
    "optimizers",
    "schedules",
    "figures.experiment",
    "figures.theory",
    "theory.steps",
)
NOWHERE = Path("/nonexistent")
CODE = Codebase()


def put(config: dict, path: str, value: object) -> dict:
    """The configuration, with a value put at `experiments.small.losses`."""
    *parents, last = path.split(".")
    part = config
    for key in parents:
        part = part.setdefault(key, {})
    part[last] = value
    return config


def shipped(files: str) -> dict:
    """A configuration of the folder `config`, of files with spaces between."""
    return configuration.load(ROOT / "config" / name for name in files.split())


def steps_of(config: Mapping, root: Path = NOWHERE, listings: Mapping | None = None) -> Steps:
    """The steps of a study whose results are in `root`."""
    return Steps(Study(config), CODE, root, listings or {})


def run_of(steps: Steps, loss: str = "CE", width: float = 0.25, epochs: int = 7, seed: int = 1) -> Run:
    """A run of the study's only experiment."""
    (experiment,) = steps.study.experiments.values()
    return next(
        run for run in experiment.runs if (run.loss, run.width, run.epochs, run.seed) == (loss, width, epochs, seed)
    )
