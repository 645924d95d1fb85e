"""The command `ufm`. PyTorch is imported when it runs, not when its help is printed."""

import argparse
import math
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

    Printed are objective, margin (logit units) and weight_norm_sq, each with its closed form (or the root of one
    equation, from the loss itself), nc1, nc2, nc3 and the centered forms, logit_gradient, gradient_norm, certificate,
    is_convex and min_hessian_eigenvalue; null where nothing is predicted, and for the metrics where W = 0. Lines on the
    error output say why nothing is, and what the prediction and the certificate do not decide.
    """
    loss, seed = _loss_arguments.loss_and_seed(options)
    from equal_losses.theory import closed_form, landscape, ufm
    from equal_losses.theory.convexity import is_convex
    from equal_losses.theory.model import METRICS, UNKNOWN, measure, prediction
    from equal_losses.theory.pointwise import bound
    from equal_losses.theory.reduced import ReducedLoss

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
    if model.dim < model.classes:
        _note(
            f"dim {model.dim} is below classes {model.classes}: no closed form is printed, because it assumes that W H "
            f"can have rank {model.classes}"
        )
    else:
        expected = prediction(model, loss)
        if math.isnan(expected.margin):
            _note(
                f"nothing is predicted for {loss['name']}: no minimiser was found at this c, or lambda_b is above 0 "
                "and a common shift of the logits changes the loss"
            )
        elif loss["kind"] not in closed_form.MINIMISERS:
            decided = bound(ReducedLoss(model.loss, model.classes), model.c)
            if not decided.with_bias:
                where = "without a bias" if decided.without_bias else "nowhere"
                _note(f"the bound of one sample shows {where} that collapse is optimal: {decided.counterexample}")
    convex = is_convex(model.loss, model.classes)
    if not convex:
        _note(f"{loss['name']} is not convex in the logits: a certificate of 1 does not say that a minimum is global")
    minimum = ufm.minimise(model, model.random_point(seed))
    row = measure(model, minimum, expected)
    predicted = [f"{name}{form}" for name in ("objective", "margin", "weight_norm_sq") for form in ("", "_closed_form")]
    measured = {name: row[name] for name in (*predicted, *METRICS, "logit_gradient", "gradient_norm", "certificate")}
    eigenvalue = landscape.smallest_hessian_eigenvalue(model, minimum)
    print_json(measured | {"is_convex": convex, "min_hessian_eigenvalue": eigenvalue})


def _note(line: str) -> None:
    print(f"equal-losses: {line}", file=sys.stderr)
