"""The command `equal-losses`."""

import argparse
import sys
from collections.abc import Sequence

from equal_losses import __version__
from equal_losses.commands import check, clean, contrastive, export, metrics, plan, status, ufm, why
from equal_losses.running.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit status is 2, after a line for each mistake, where the input is bad."""
    parser = argparse.ArgumentParser(prog="equal-losses", description="Neural collapse across losses.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (metrics, plan, check, status, why, clean, export, ufm, contrastive):
        command.add_parser(commands)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except InputError as error:
        for line in error.lines:
            print(f"equal-losses: {line}", file=sys.stderr)
        return 2
    return 0
