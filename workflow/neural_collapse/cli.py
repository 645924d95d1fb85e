"""The command `neural-collapse`."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from . import __version__
from .errors import InputError
from .metrics import collapse_metrics


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit status is 2, after one line on the error output, where the input is bad."""
    parser = argparse.ArgumentParser(prog="neural-collapse", description="Neural collapse across losses.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_metrics(commands)
    options = parser.parse_args(arguments)
    try:
        print_json(options.run(options))
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


def _metrics(options: argparse.Namespace) -> dict[str, float]:
    return collapse_metrics(
        _array(options.features, "--features"),
        _array(options.labels, "--labels"),
        _array(options.weight, "--weight"),
        None if options.bias is None else _array(options.bias, "--bias"),
    )


def _array(path: Path, option: str) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise InputError(f"{option}: {path}: {error.strerror or error}; allowed: a readable .npy file") from error
    except (ValueError, EOFError) as error:
        raise InputError(f"{option}: {path}: not a NumPy array; allowed: an .npy file of numbers") from error
