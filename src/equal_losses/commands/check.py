"""The command `check`."""

import argparse
from pathlib import Path

from equal_losses.commands import opening
from equal_losses.running.errors import InputError
from equal_losses.running.words import count
from equal_losses.study import checks, listing


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "check",
        help="what is wrong with a study, before it is run",
        description="Print a line for each mistake in a study, and end with exit status 2; or say what it consists of. "
        "Every start of the workflow makes the same checks.",
    )
    parser.add_argument("config", nargs="+", type=Path, help="configuration files, merged in order")
    opening.add_directory(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print what is worth a warning and what the study consists of."""
    study = opening.opened(options.config, options.directory).study
    mistakes = [*checks.missing(study.config, listing.found(study, options.directory), options.directory)]
    if mistakes:
        raise InputError(*mistakes)
    for line in checks.warnings(study.config):
        print(f"warning: {line}")
    runs = sum(len(experiment.runs) for experiment in study.experiments.values())
    print(f"{study.name}: {count(runs, 'run')} in {count(len(study.experiments), 'experiment')}; nothing is wrong")
