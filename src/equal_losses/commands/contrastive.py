"""The command `contrastive`. PyTorch is imported when it runs, not when its help is printed."""

import argparse

from equal_losses.commands import _loss_arguments
from equal_losses.commands.output import print_json
from equal_losses.running.errors import InputError


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "contrastive",
        help="try Definition 1, the contrastive property, on a loss",
        description="Try Definition 1 on any loss of the library: the inequality and its equality cases on random "
        "logits, and the minimiser t* over c; and whether the minimisers of Eq. (7) are neural collapse at one c. "
        "Print what was found, as JSON.",
    )
    _loss_arguments.add_arguments(parser, seed="of the random logits")
    parser.add_argument("--classes", type=int, default=10, help="K (default 10)")
    parser.add_argument("--samples", type=int, default=2000, help="number of random logits to try (default 2000)")
    parser.add_argument(
        "--c", type=float, default=0.005, help="sqrt(n lambda_W lambda_H) at which Theorem 1 is decided (default 0.005)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Try Definition 1 on a loss, and print what `theory.contrastive.check_contrastive` returns."""
    loss, seed = _loss_arguments.loss_and_seed(options)
    if options.samples < 1:
        raise InputError(f"--samples: {options.samples}; allowed: at least 1")
    from equal_losses.theory.contrastive import check_contrastive

    built = _loss_arguments.build(loss, options.classes)
    report = check_contrastive(built, options.classes, options.samples, options.c, seed)
    print_json({"loss": loss["name"], "kind": loss["kind"]} | report)
