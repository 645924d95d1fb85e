"""Studies as commands are given them: configuration files, and the folder that has the results."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from equal_losses.page import content
from equal_losses.running.errors import InputError
from equal_losses.study import configuration, listing
from equal_losses.study.fingerprints import Codebase
from equal_losses.study.grid import Study
from equal_losses.study.keys import Steps

DEMO = configuration.SCHEMA.with_name("demo.yaml")


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where the results are."""
    parser.add_argument("--directory", type=Path, default=Path(), help="where results/ is (default: here)")


def opened(files: Sequence[Path], directory: Path = Path()) -> Steps:
    """The steps of the study in `files`, merged in order; of the demo where there are none.

    Raises:
        InputError: where a file or the configuration is wrong, or there is no such directory.
    """
    if not directory.is_dir():
        raise InputError(f"--directory: {directory}: no such folder; expected the one that has results/")
    study = Study(configuration.load(files or [DEMO]))
    steps = Steps(study, Codebase(), directory, listing.found(study, directory))
    content.add_to(steps)
    return steps
