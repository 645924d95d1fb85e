"""The command `status`."""

import argparse
import json
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from equal_losses.commands import opening, progress

WATCH_SECONDS = 10


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "status",
        help="how far a study is",
        description="Print how far a study is, from its files alone: a line for each loss of each experiment, what "
        "runs, what failed and why, and the totals.",
    )
    parser.add_argument("config", nargs="*", type=Path, help="configuration files, merged in order (default: the demo)")
    opening.add_directory(parser)
    detail = parser.add_mutually_exclusive_group()
    detail.add_argument("--summary", dest="detail", action="store_const", const="experiments", help="less: experiments")
    detail.add_argument("--all", dest="detail", action="store_const", const="runs", help="more: a line for each run")
    parser.add_argument("--watch", action="store_true", help=f"again every {WATCH_SECONDS} seconds, until interrupted")
    parser.add_argument("--json", action="store_true", help="for scripts: a list of runs, and the totals")
    parser.set_defaults(run=run, detail="losses")


def run(options: argparse.Namespace) -> None:
    """Print how far it is, and again if it is watched."""
    steps = opening.opened(options.config, options.directory)
    with suppress(KeyboardInterrupt):
        while True:
            trainings = progress.of_study(steps)
            hours = progress.hours_left(steps, trainings)
            if options.json:
                runs = [asdict(training) for training in trainings]
                print(json.dumps({"runs": runs, "totals": progress.totals(trainings, hours)}, indent=2), flush=True)
            else:
                clear = "\x1b[2J\x1b[H" if options.watch and sys.stdout.isatty() else ""
                print(clear + progress.text(trainings, hours, options.detail), flush=True)
            if not options.watch:
                return
            time.sleep(WATCH_SECONDS)
