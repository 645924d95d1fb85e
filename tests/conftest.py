"""Shared pieces: a small study, the workflow on it, and the study run to its end once."""

from __future__ import annotations

import argparse
import copy
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from hypothesis import settings

# Several processes share the cores, and products of small matrices on all of them are many times slower than on one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The first example of a test may import what it tests, on a machine that does other things.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).parents[1]
# A job of the finished study writes what it imported, when it ends.
WATCH = Path(__file__).parent / "workflow" / "watch"

SMALL_STUDY = yaml.safe_load("""
name: small
datasets:
  digits: {kind: digits, test_fraction: 0.5, validation_fraction: 0.4}
losses:
  CE: {kind: cross_entropy}
  FL: {kind: focal, gamma: 3}
experiments:
  small:
    dataset: digits
    network: {kind: small_resnet}
    losses: [CE, FL]
    widths: [0.25, 0.5]
    epochs: [3, 7]
    seeds: [1]
    training: {batch_size: 100, crop_padding: 1, flip: true}
    snapshots: 3
theory:
  minimise: {sizes: [{classes: 3, samples: 2, dim: 4}], strengths: [0.3], seeds: [0]}
  conjecture: {sizes: [{classes: 3, samples: 2, dim: 4}], starts: 1}
  descent: {classes: 3, samples: 2, dim: 4, iterations: 200, checkpoints: 5}
  landscape: [{classes: 3, samples: 2, dim: 5, strength: 0.02, starts: 3}]
  contrastive_property: {classes: [3], samples: 50}
  focal_convexity: {gammas: [3], classes: [3]}
  geometry: {iterations: 200, checkpoints: 5}
""")


@pytest.fixture
def small_config() -> dict:
    """A study of eight short runs; a copy of one's own."""
    return copy.deepcopy(SMALL_STUDY)


@pytest.fixture(scope="session")
def digits_manifest(tmp_path_factory) -> Path:
    """The manifest of the prepared digits."""
    from equal_losses.datasets.digits import digits
    from equal_losses.datasets.prepared import prepare

    folder = tmp_path_factory.mktemp("digits")
    prepare(folder, digits(), split_seed=0, stratified=True, validation_fraction=0.4, test_fraction=0.5, sources=[])
    return folder / "manifest.json"


@pytest.fixture(scope="session")
def digits(digits_manifest):
    """The prepared digits: 539 training, 359 validation and 899 test images."""
    from equal_losses.datasets.prepared import PreparedDataset

    return PreparedDataset.open(digits_manifest)


def said_to_snakemake(command: str) -> argparse.Namespace:
    """What Snakemake makes of a command line; a comment does not count."""
    from snakemake.cli import get_argument_parser

    return get_argument_parser().parse_args(shlex.split(command, comments=True)[1:])


def copied_repository(target: Path) -> Path:
    """A copy of everything that the workflow runs from, to be edited."""
    for name in ("config", "envs", "profiles", "src", "workflow"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "Snakefile", target)
    return target


def edit(path: Path, old: str, new: str) -> None:
    """Replace a piece of a file that is there once or more, at its first place."""
    text = path.read_text()
    assert old in text, f"{path} does not hold {old!r}"
    path.write_text(text.replace(old, new, 1))


class Workflow:
    """Snakemake in a folder of its own, on the Snakefile of this repository or of a copy of it."""

    def __init__(self, directory: Path, config: dict, root: Path = ROOT):
        self.directory = directory
        self.config = config
        self.root = root

    @property
    def results(self) -> Path:
        """The results."""
        return self.directory / "results"

    def command(self, *arguments: str) -> list[str]:
        """The command line of Snakemake on the study as it now is, which is written to a file."""
        study = self.directory / "study.yaml"
        study.write_text(yaml.safe_dump(self.config, sort_keys=False))
        start = [sys.executable, "-m", "snakemake", "--snakefile", str(self.root / "Snakefile")]
        profile = ["--workflow-profile", str(self.root / "profiles" / "default"), "--cores", "2"]
        return [*start, "--configfile", str(study), *profile, *arguments]

    def run(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        """Run Snakemake on two cores; its output is text."""
        result = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
        )
        if check and result.returncode:
            raise AssertionError(f"snakemake ended with {result.returncode}:\n{result.stdout}\n{result.stderr}")
        return result

    def refused(self, *arguments: str) -> str:
        """The one line that a job ends with, which fails."""
        result = self.run(*arguments, check=False)
        assert result.returncode == 1
        lines = [line for line in result.stderr.splitlines() if line.startswith("  why: ")]
        assert len(lines) == 1, result.stderr
        assert "Traceback" not in result.stderr
        return lines[0]

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs of each rule that a dry run announces, without the total."""
        result = self.run("--dry-run", "--verbose", *arguments)
        lines = (result.stdout + result.stderr).splitlines()
        jobs: dict[str, int] = {}
        if "Job stats:" in lines:
            for line in lines[lines.index("Job stats:") + 3 :]:
                rule, _, count = line.partition(" ")
                if not count or rule == "total":
                    break
                jobs[rule] = int(count)
        return jobs

    def found(self, pattern: str) -> Path:
        """The one file or folder of the results with this pattern, as `runs/small/CE/width0.5/epochs3/seed1/*`."""
        (path,) = self.results.glob(pattern)
        return path

    def folder(self, run: str) -> Path:
        """The folder of a run of the study, as it now is, by (experiment, loss, width, epochs, seed)."""
        return self.directory / next(
            path for path in self.steps().by_path if re.fullmatch(rf"results/runs/{run}/\w{{20}}", path)
        )

    def steps(self):
        """The steps of the study as it now is, with the code of the repository or its copy."""
        from equal_losses.page import content
        from equal_losses.study import listing
        from equal_losses.study.fingerprints import Codebase
        from equal_losses.study.grid import Study
        from equal_losses.study.keys import Steps

        study = Study(copy.deepcopy(self.config))
        steps = Steps(study, Codebase(self.root), self.directory, listing.found(study, self.directory))
        content.add_to(steps)
        return steps

    def to_do(self) -> set[str]:
        """Results that the study wants and that are not there, without their keys; trunks aside, which go by nature."""
        from equal_losses.running.records import is_made

        steps = self.steps()
        found = set()
        for step in steps.by_path.values():
            record = step.file("key.json") if steps.is_there(f"{step.path}/key.json") else step.file(".json")
            if "/trunks/" not in step.path and not is_made(self.directory / record, step.key):
                found.add(re.sub(r"/[0-9a-f]{20}|/\{key\}", "", step.path).removeprefix("results/"))
        return found

    def copy(self, directory: Path, *, metadata: bool = True, root: Path | None = None) -> Workflow:
        """The results in another folder, with or without what Snakemake knows of them."""
        shutil.copytree(self.results, directory / "results", symlinks=True)
        if metadata:
            shutil.copytree(self.directory / ".snakemake", directory / ".snakemake")
        return Workflow(directory, copy.deepcopy(self.config), root or self.root)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workflow:
    """The small study, run to its end once for all processes of the tests. Tests leave it as they found it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "finished"
    workflow = Workflow(folder, copy.deepcopy(SMALL_STUDY))
    with FileLock(shared / "finished.lock"):
        if not (folder / "done").exists():
            (folder / "watched").mkdir(parents=True)
            workflow.run(PYTHONPATH=os.pathsep.join([str(WATCH), str(ROOT / "src")]), WATCHED=str(folder / "watched"))
            (folder / "done").touch()
    return workflow


@pytest.fixture
def study(finished, tmp_path) -> Workflow:
    """A copy of the finished study, with what Snakemake knows of it, to do anything with."""
    return finished.copy(tmp_path)


@pytest.fixture
def edited(finished, tmp_path) -> Workflow:
    """A copy of the finished study under a copy of the repository that may be edited."""
    return finished.copy(tmp_path, root=copied_repository(tmp_path / "repository"))


@pytest.fixture
def workflow(tmp_path, small_config) -> Workflow:
    """The workflow on the small study, in an empty folder."""
    return Workflow(tmp_path, small_config)
