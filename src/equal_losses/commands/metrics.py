"""The command `metrics`."""

import argparse
from pathlib import Path

import numpy as np

from equal_losses.commands.output import print_json
from equal_losses.metrics.collapse import collapse_metrics
from equal_losses.running.errors import InputError


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "metrics",
        help="neural collapse metrics of anybody's features",
        description="Print the neural collapse metrics of last-layer features under a linear classifier, as JSON.",
    )
    for name, meaning, required in (
        ("features", "N x d floating-point numbers (.npy); mapped, so it may be larger than memory", True),
        ("labels", "N integers in 0..K-1 (.npy)", True),
        ("weight", "K x d classifier (.npy)", True),
        ("bias", "K biases (.npy); zero if left out", False),
    ):
        parser.add_argument(f"--{name}", type=Path, required=required, metavar="FILE", help=meaning)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the metrics."""
    metrics = collapse_metrics(
        _array(options.features, "--features"),
        _array(options.labels, "--labels"),
        _array(options.weight, "--weight"),
        None if options.bias is None else _array(options.bias, "--bias"),
    )
    print_json(metrics)


def _array(path: Path, option: str) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise InputError(f"{option}: {path}: {error.strerror or error}; expected a readable .npy file") from error
    except (ValueError, EOFError) as error:
        raise InputError(f"{option}: {path}: not a NumPy array; expected an .npy file of numbers") from error
