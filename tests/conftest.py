"""Shared pieces: a small dataset of real digits and a small study."""

from __future__ import annotations

import argparse
import copy
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]

SMALL_STUDY = yaml.safe_load("""
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
def digits(tmp_path_factory):
    """The prepared digits: 539 training, 359 validation and 899 test images."""
    from neural_collapse import datasets, preparation

    directory = tmp_path_factory.mktemp("digits")
    preparation.prepare(
        directory, datasets.digits(), split_seed=0, stratified=True, validation_fraction=0.4, test_fraction=0.5
    )
    return preparation.PreparedDataset.open(directory / "manifest.json")


@pytest.fixture
def small_run(small_config):
    """Answers a run of the small study, by its place in the grid and changed settings."""
    from neural_collapse.study import Study

    def build(loss: str = "CE", width: str = "0.25", epochs: str = "7", seed: str = "1", **training):
        small_config["experiments"]["small"]["training"] |= training
        return Study(small_config).run("small", loss, width, epochs, seed)

    return build


def said_to_snakemake(command: str) -> argparse.Namespace:
    """What Snakemake makes of a command line; a comment does not count."""
    from snakemake.cli import get_argument_parser

    return get_argument_parser().parse_args(shlex.split(command, comments=True)[1:])


class Workflow:
    """Snakemake in a folder of its own, on the Snakefile of this repository or of a copy of it."""

    def __init__(self, directory: Path, config: dict, root: Path = ROOT):
        self.directory = directory
        self.config = config
        self.root = root

    def command(self, *arguments: str) -> list[str]:
        """The command line of Snakemake on the study as it now is, which is written to a file."""
        study = self.directory / "study.yaml"
        study.write_text(yaml.safe_dump(self.config, sort_keys=False))
        start = [sys.executable, "-m", "snakemake", "--snakefile", str(self.root / "Snakefile")]
        return [*start, "--configfile", str(study), *arguments]

    def run(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        """Run Snakemake on two cores; its output is text."""
        profile = ["--workflow-profile", str(self.root / "profiles" / "default"), "--cores", "2"]
        result = subprocess.run(
            self.command(*profile, *arguments),
            cwd=self.directory,
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
        )
        if check and result.returncode:
            raise AssertionError(f"snakemake ended with {result.returncode}:\n{result.stdout}\n{result.stderr}")
        return result

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs of each rule that a dry run announces, without the total."""
        result = self.run("--dry-run", *arguments)
        lines = (result.stdout + result.stderr).splitlines()
        jobs: dict[str, int] = {}
        if "Job stats:" in lines:
            for line in lines[lines.index("Job stats:") + 3 :]:
                rule, _, count = line.partition(" ")
                if not count or rule == "total":
                    break
                jobs[rule] = int(count)
        return jobs

    def jobs(self, *arguments: str) -> set[str]:
        """Every job that a dry run announces: its rule and the values of its wildcards."""
        found = set()
        for block in re.split(r"^\[.*\]$", self.run("--dry-run", *arguments).stdout, flags=re.MULTILINE):
            rule = re.search(r"^(?:local)?rule (\w+):", block, re.MULTILINE)
            if rule:
                wildcards = re.search(r"^ +wildcards: (.*)", block, re.MULTILINE)
                values = re.findall(r"=([^,]*)", wildcards[1]) if wildcards else []
                found.add(" ".join([rule[1], "/".join(values)]).strip())
        return found


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workflow:
    """The small study, run to its end once. Tests leave it as they found it."""
    workflow = Workflow(tmp_path_factory.mktemp("study"), copy.deepcopy(SMALL_STUDY))
    workflow.run()
    return workflow


@pytest.fixture
def workflow(tmp_path, small_config) -> Workflow:
    """The workflow on the small study, in an empty folder."""
    return Workflow(tmp_path, small_config)
