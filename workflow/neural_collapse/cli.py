"""The command `neural-collapse`."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from . import __version__, configuration, status, theory_cli
from .errors import InputError
from .metrics import collapse_metrics
from .study import Study

WATCH_SECONDS = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit status is 2, after one line on the error output, where the input is bad."""
    parser = argparse.ArgumentParser(prog="neural-collapse", description="Neural collapse across losses.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_metrics(commands)
    _add_plan(commands)
    _add_status(commands)
    _add_theory(commands)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except InputError as error:
        print(f"neural-collapse: {error}", file=sys.stderr)
        return 2
    return 0


def print_json(values: Mapping[str, object]) -> None:
    """Print a flat mapping as JSON, numbers that JSON does not have (infinite, not a number) as null."""
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values.items()
    }
    print(json.dumps(finite, indent=2))


def _add_metrics(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "metrics",
        help="neural-collapse metrics of anybody's features",
        description="Print the neural-collapse metrics of last-layer features under a linear classifier, as JSON.",
    )
    for name, meaning, required in (
        ("features", "N x d floating-point numbers (.npy); mapped, so it may be larger than memory", True),
        ("labels", "N integers in 0..K-1 (.npy)", True),
        ("weight", "K x d classifier (.npy)", True),
        ("bias", "K biases (.npy); zero if left out", False),
    ):
        parser.add_argument(f"--{name}", type=Path, required=required, metavar="FILE", help=meaning)
    parser.set_defaults(run=_metrics)


def _metrics(options: argparse.Namespace) -> None:
    metrics = collapse_metrics(
        _array(options.features, "--features"),
        _array(options.labels, "--labels"),
        _array(options.weight, "--weight"),
        None if options.bias is None else _array(options.bias, "--bias"),
    )
    print_json(metrics)


def _add_plan(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "plan",
        help="what a study costs, before it is run",
        description="Print what a study costs, a column an experiment. Device hours come from the rate that is given, "
        "or else from a few training steps of every network, timed on this machine.",
    )
    parser.add_argument("config", nargs="+", type=Path, help="configuration files, merged in order")
    parser.add_argument("--tflops", type=_positive, help="effective rate of one device, in 1e12 operations a second")
    parser.add_argument("--json", action="store_true", help="plain numbers: operations, hours and bytes")
    parser.set_defaults(run=_plan)


def _plan(options: argparse.Namespace) -> None:
    study = Study(configuration.load(options.config))
    from . import cost  # PyTorch takes seconds to import, which the other commands need not wait for

    rate = None if options.tflops is None else options.tflops * 1e12
    costs = {name: cost.experiment_cost(experiment, rate) for name, experiment in study.experiments.items()}
    if options.json:
        print(json.dumps({name: asdict(each) for name, each in costs.items()}, indent=2))
    else:
        print(cost.table(costs).to_string())


def _add_status(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "status",
        help="how far every run of a study is",
        description="Print how far every run of a study is, from its files alone.",
    )
    parser.add_argument("config", nargs="*", type=Path, help="configuration files, merged in order (default: the demo)")
    parser.add_argument("--directory", type=Path, default=Path(), help="where results/ is (default: here)")
    parser.add_argument("--watch", action="store_true", help=f"again every {WATCH_SECONDS} seconds, until interrupted")
    parser.add_argument("--json", action="store_true", help="for scripts: a list of runs, and the totals")
    parser.set_defaults(run=_status)


def _status(options: argparse.Namespace) -> None:
    study = Study(configuration.load(options.config or [configuration.SCHEMA.with_name("demo.yaml")]))
    with suppress(KeyboardInterrupt):
        while True:
            trainings = status.of_study(study, options.directory)
            if options.json:
                runs = [asdict(training) for training in trainings]
                print(json.dumps({"runs": runs, "totals": status.totals(trainings)}, indent=2), flush=True)
            else:
                clear = "\x1b[2J\x1b[H" if options.watch and sys.stdout.isatty() else ""
                print(clear + status.text(trainings), flush=True)
            if not options.watch:
                return
            time.sleep(WATCH_SECONDS)


def _add_theory(commands: argparse._SubParsersAction) -> None:
    ufm = commands.add_parser(
        "ufm",
        help="minimise the unconstrained feature model, Eq. (7)",
        description="Minimise the unconstrained feature model, Eq. (7), from a random start, and print the minimum "
        "beside its closed form, as JSON.",
    )
    theory_cli.add_ufm_arguments(ufm)
    ufm.set_defaults(run=lambda options: print_json(theory_cli.run_ufm(options)))
    contrastive = commands.add_parser(
        "contrastive",
        help="try Definition 1, the contrastive property, on a loss",
        description="Try Definition 1 on any loss of the library: the inequality and its equality cases on random "
        "logits, and the minimiser t* over c. Print what was found, as JSON.",
    )
    theory_cli.add_contrastive_arguments(contrastive)
    contrastive.set_defaults(run=lambda options: print_json(theory_cli.run_contrastive(options)))


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text}; allowed: a number > 0")
    return value


def _array(path: Path, option: str) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise InputError(f"{option}: {path}: {error.strerror or error}; allowed: a readable .npy file") from error
    except (ValueError, EOFError) as error:
        raise InputError(f"{option}: {path}: not a NumPy array; allowed: an .npy file of numbers") from error
