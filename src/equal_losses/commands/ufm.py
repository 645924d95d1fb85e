"""The command `ufm`. PyTorch is imported when it runs, not when its help is printed."""

import argparse
import sys

from equal_losses.commands import _loss_arguments
from equal_losses.commands.output import print_json


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "ufm",
        help="minimise the unconstrained feature model, Eq. (7)",
        description="Minimise the unconstrained feature model, Eq. (7), from a random start, and print the minimum "
        "beside its closed form, as JSON.",
    )
    _loss_arguments.add_arguments(parser, seed="of the random start")
    for option, meaning in (("classes", "K"), ("samples", "n, samples per class"), ("dim", "d, the feature dimension")):
        parser.add_argument(f"--{option}", type=int, required=True, help=meaning)
    parser.add_argument("--lambda-w", type=float, required=True, help="penalty of W")
    parser.add_argument("--lambda-h", type=float, required=True, help="penalty of H")
    parser.add_argument("--lambda-b", type=float, default=0.0, help="penalty of b (default 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Minimise Eq. (7) from a random start, and print what was found.

    Printed are objective, margin (logit units), weight_norm_sq, the latter two with their closed form, nc1, nc2, nc3
    and the centered forms, gradient_norm, certificate and min_hessian_eigenvalue; null where there is no closed form,
    which a line on the error output explains, and for the metrics where W = 0.
    """
    loss, seed = _loss_arguments.loss_and_seed(options)
    from equal_losses.theory import closed_form, landscape, ufm
    from equal_losses.theory.model import METRICS, UNKNOWN, measure, prediction

    model = ufm.UnconstrainedFeatureModel(
        _loss_arguments.build(loss, options.classes),
        options.classes,
        options.samples,
        options.dim,
        options.lambda_w,
        options.lambda_h,
        options.lambda_b,
    )
    expected = UNKNOWN
    if loss["kind"] not in closed_form.PHI:
        _note(f"no closed form is known for {loss['kind']}")
    elif model.dim < model.classes:
        _note(
            f"dim {model.dim} is below classes {model.classes}: no closed form is printed, because it assumes that W H "
            f"can have rank {model.classes}"
        )
    else:
        expected = prediction(model, loss)
    minimum = ufm.minimise(model, model.random_point(seed))
    row = measure(model, minimum, expected)
    fields = ("objective", "margin", "margin_closed_form", "weight_norm_sq", "weight_norm_sq_closed_form")
    measured = {name: row[name] for name in (*fields, *METRICS, "gradient_norm", "certificate")}
    eigenvalue = landscape.smallest_hessian_eigenvalue(model, minimum)
    print_json(measured | {"min_hessian_eigenvalue": eigenvalue})


def _note(line: str) -> None:
    print(f"equal-losses: {line}", file=sys.stderr)
