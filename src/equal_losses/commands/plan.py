"""The command `plan`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from equal_losses.commands import opening


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "plan",
        help="what a study costs, before it is run",
        description="Print what a study costs, one column per experiment. Device hours come from the rate that is "
        "given, or else from a few training steps of every network, timed on this machine.",
    )
    parser.add_argument("config", nargs="+", type=Path, help="configuration files, merged in order")
    parser.add_argument("--tflops", type=_positive, help="effective rate of one device, in 1e12 operations a second")
    parser.add_argument("--json", action="store_true", help="plain numbers: operations, hours and bytes")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the costs."""
    steps = opening.opened(options.config)
    from equal_losses.commands import (
        cost,  # PyTorch takes seconds to import, which the other commands need not wait for
    )

    rate = None if options.tflops is None else options.tflops * 1e12
    costs = {}
    for name, experiment in steps.study.experiments.items():
        size = cost.dataset_size(experiment, Path(steps.dataset(experiment.dataset).file("manifest.json")))
        costs[name] = cost.experiment_cost(experiment, size, rate)
    if options.json:
        print(json.dumps({name: asdict(each) for name, each in costs.items()}, indent=2))
    else:
        print(cost.table(costs).to_string())


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text}; expected a number > 0")
    return value
