"""The command `plan`."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from equal_losses.commands import opening
from equal_losses.running.words import count


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "plan",
        help="what a study costs, before it is run",
        description="Print what a study costs, one column per experiment. Times come from the rate that is given, "
        "or else from a few training steps of every network, timed on this machine.",
    )
    parser.add_argument("config", nargs="+", type=Path, help="configuration files, merged in order")
    parser.add_argument("--tflops", type=_positive, help="effective rate of one device, in 1e12 operations a second")
    parser.add_argument("--devices", type=_count, default=1, help="GPUs, or jobs on CPUs, at a time (default 1)")
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

    def report(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    for name, experiment in steps.study.experiments.items():
        size = cost.dataset_size(experiment, Path(steps.dataset(experiment.dataset).file("manifest.json")))
        costs[name] = cost.experiment_cost(experiment, size, rate, report)
    if options.json:
        print(json.dumps({name: asdict(each) for name, each in costs.items()}, indent=2))
    else:
        print(cost.table(costs, options.devices).to_string())
        print(_basis(options.tflops, steps.study.compute["threads"], cost.total(costs.values()).jobs, cost.JOB_SECONDS))


def _basis(tflops: float | None, threads: int, jobs: int, seconds: tuple[int, int]) -> str:
    rate = f"the given rate of {tflops} TFLOP a second"
    if tflops is None:
        where = f"this machine: its GPU, or a CPU with {count(threads, 'thread')} for each job"
        rate = f"the fastest and the slowest of a few steps on {where}, as busy as it is now"
    return (
        f"Times rest on {rate}, and on {seconds[0]} to {seconds[1]} s for the start and the end of each of "
        f"{count(jobs, 'job')}; trainings in stacks are faster, and the theory and figures of a study take minutes."
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}; expected a whole number >= 1")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text}; expected a number > 0")
    return value
