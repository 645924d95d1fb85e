"""The commands `neural-collapse ufm` and `neural-collapse contrastive`: arguments, and a flat mapping to print.

PyTorch is imported when a command runs, not when its help is printed.
"""

from __future__ import annotations

import argparse

from .errors import InputError
from .provenance import Codebase

# The paper's names of its losses and their parameters; other names are kinds, function names of `losses`.
PAPER_LOSSES = {
    "CE": {"kind": "cross_entropy"},
    "LS": {"kind": "label_smoothing", "smoothing": 0.1},
    "FL": {"kind": "focal", "gamma": 3.0},
    "MSE": {"kind": "mse", "kappa": 1.0, "beta": 15.0},
}


def add_ufm_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `ufm`."""
    _add_loss_arguments(parser)
    for option, meaning in (("classes", "K"), ("samples", "n, samples a class"), ("dim", "d, the feature dimension")):
        parser.add_argument(f"--{option}", type=int, required=True, help=meaning)
    parser.add_argument("--lambda-w", type=float, required=True, help="penalty of W")
    parser.add_argument("--lambda-h", type=float, required=True, help="penalty of H")
    parser.add_argument("--lambda-b", type=float, default=0.0, help="penalty of b (default 0)")
    parser.add_argument("--seed", type=int, default=0, help="of the random start (default 0)")


def run_ufm(options: argparse.Namespace) -> dict[str, float | None]:
    """Minimise Eq. (7) from a random start.

    Returns:
        objective, margin (logit units), weight_norm_sq, both with their closed form, nc1, nc2, nc3 and the centered
        forms, gradient_norm, certificate and min_hessian_eigenvalue; not a number where there is no closed form, None
        for the metrics where W = 0.
    """
    loss = _loss(options)
    from . import closed_form, theory_runs, ufm

    model = ufm.UnconstrainedFeatureModel(
        theory_runs.build_loss(loss),
        options.classes,
        options.samples,
        options.dim,
        options.lambda_w,
        options.lambda_h,
        options.lambda_b,
    )
    has_closed_form = loss["kind"] in closed_form.PHI and options.dim >= options.classes
    expected = theory_runs.prediction(model, loss) if has_closed_form else theory_runs.UNKNOWN
    minimum = ufm.minimise(model, model.random_point(options.seed))
    row = theory_runs.measure(model, minimum.point, expected)
    fields = ("objective", "margin", "margin_closed_form", "weight_norm_sq", "weight_norm_sq_closed_form")
    measured = {name: row[name] for name in (*fields, *theory_runs.METRICS, "gradient_norm", "certificate")}
    return measured | {"min_hessian_eigenvalue": ufm.smallest_hessian_eigenvalue(model, minimum.point)}


def add_contrastive_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `contrastive`."""
    _add_loss_arguments(parser)
    parser.add_argument("--classes", type=int, default=10, help="K (default 10)")
    parser.add_argument("--samples", type=int, default=2000, help="random logits to try (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the random logits (default 0)")


def run_contrastive(options: argparse.Namespace) -> dict[str, object]:
    """Try Definition 1 on a loss; the fields are those of `contrastive.ContrastiveReport`, flat."""
    loss = _loss(options)
    if options.samples < 1:
        raise InputError(f"--samples: {options.samples}; allowed: at least 1")
    from . import theory_runs

    return theory_runs.check_definition(loss, options.classes, options.samples, options.seed)


def _add_loss_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = _kinds()
    names = f"{', '.join(PAPER_LOSSES)} (with the paper's parameters), {', '.join(kinds)}"
    parser.add_argument("--loss", required=True, metavar="NAME", help=names)
    for parameter, default in {key: value for values in kinds.values() for key, value in values.items()}.items():
        users = ", ".join(kind for kind, values in kinds.items() if parameter in values)
        convert = str if isinstance(default, str) else float
        parser.add_argument(_option(parameter), type=convert, help=f"parameter of {users}")


def _loss(options: argparse.Namespace) -> dict:
    """The loss of the options: name, kind and every parameter that was given or that the paper gives."""
    kinds = _kinds()
    loss = dict(PAPER_LOSSES.get(options.loss, {"kind": options.loss}))
    if loss["kind"] not in kinds:
        raise InputError(f"--loss: {options.loss!r}; allowed: {', '.join([*PAPER_LOSSES, *kinds])}")
    accepted = kinds[loss["kind"]]
    for parameter in {key for values in kinds.values() for key in values}:
        value = getattr(options, parameter)
        if value is None:
            continue
        if parameter not in accepted:
            users = ", ".join(kind for kind, values in kinds.items() if parameter in values)
            raise InputError(f"{_option(parameter)}: not a parameter of {options.loss}; allowed with: {users}")
        loss[parameter] = value
    for parameter, default in accepted.items():
        if default is Codebase.REQUIRED and parameter not in loss:
            raise InputError(f"{_option(parameter)}: missing; {options.loss} has no default for it")
    return {"name": options.loss, **loss}


def _kinds() -> dict[str, dict[str, object]]:
    """Kinds of losses and their parameters, but for the reduction, which is the mean here."""
    return {
        kind: {key: default for key, default in parameters.items() if key != "reduction"}
        for kind, parameters in Codebase().functions("losses").items()
    }


def _option(parameter: str) -> str:
    return "--" + parameter.replace("_", "-")
