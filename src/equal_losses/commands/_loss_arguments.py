"""The arguments that name a loss and its parameters, read from the source of the losses without importing it."""

import argparse
import math
from collections.abc import Callable, Mapping

from equal_losses.running.errors import InputError
from equal_losses.study import configuration
from equal_losses.study.kinds import REQUIRED, asked, kinds, parameters, schemas

# The paper's names of its losses and their parameters; other names are kinds.
PAPER_LOSSES = {
    "CE": {"kind": "cross_entropy"},
    "LS": {"kind": "label_smoothing", "smoothing": 0.1},
    "FL": {"kind": "focal", "gamma": 3.0},
    "MSE": {"kind": "mse", "kappa": 1.0, "beta": 15.0},
}


def add_arguments(parser: argparse.ArgumentParser, seed: str) -> None:
    """Add `--loss`, each parameter of any loss as an option of its own, and `--seed`.

    Args:
        seed: what the seed is for.
    """
    losses = _losses()
    names = f"{', '.join(PAPER_LOSSES)} (with the paper's parameters), {', '.join(losses)}"
    parser.add_argument("--loss", required=True, metavar="NAME", help=names)
    # Text, because parameters of one name may be of two types; the loss says what it becomes.
    for parameter, schema in {key: value for accepted in losses.values() for key, value in accepted.items()}.items():
        several = {"nargs": "+"} if "array" in schema.get("type", ()) else {}
        parser.add_argument(_option(parameter), help=f"parameter of {_users(parameter, losses)}", **several)
    parser.add_argument("--seed", type=int, default=0, help=f"{seed} (default 0)")


def loss_and_seed(options: argparse.Namespace) -> tuple[dict, int]:
    """The loss as `build` takes it, with every parameter that was given or that the paper gives, and the seed.

    Raises:
        InputError: for an unknown loss, a parameter that is not the loss's, is missing or out of range, or a negative
            seed.
    """
    losses = _losses()
    loss = {"name": options.loss, **PAPER_LOSSES.get(options.loss, {"kind": options.loss})}
    if loss["kind"] not in losses:
        raise InputError(f"--loss: {options.loss!r}; allowed: {', '.join([*PAPER_LOSSES, *losses])}")
    accepted = losses[loss["kind"]]
    for parameter in sorted({key for every in losses.values() for key in every}):
        value = getattr(options, parameter)
        if value is None:
            continue
        if parameter not in accepted:
            users = _users(parameter, losses)
            raise InputError(f"{_option(parameter)}: not a parameter of {options.loss}; allowed with: {users}")
        loss[parameter] = configuration.checked(value, accepted[parameter], _option(parameter))
    for parameter, default in parameters("losses", loss["kind"]).items():
        if default is REQUIRED and parameter not in loss:
            raise InputError(f"{_option(parameter)}: missing; {options.loss} has no default for it")
    if options.seed < 0:
        raise InputError(f"--seed: {options.seed}; allowed: at least 0")
    return loss, options.seed


def build(loss: Mapping, classes: int) -> Callable:
    """The loss itself, which is tried on one sample: some values of parameters do not fit a number of classes.

    Raises:
        InputError: where the loss raises an error, or is not finite.
    """
    import torch

    from equal_losses import losses

    built = losses.build(loss)
    try:
        value = built(torch.zeros(1, max(classes, 2), dtype=torch.float64), torch.tensor([0])).item()
    except (ValueError, RuntimeError) as error:
        raise InputError(f"--loss: {loss['name']}: {' '.join(str(error).split())}") from error
    if not math.isfinite(value):
        raise InputError(f"--loss: {loss['name']} is {value} where all logits are 0; expected a finite loss")
    return built


def _losses() -> dict[str, dict[str, dict]]:
    """Kinds of losses of logits alone and the schemas of their parameters, except the reduction, which is the mean."""
    return {
        kind: {key: schema for key, schema in schemas("losses", kind).items() if key != "reduction"}
        for kind in kinds("losses")
        if not asked(kind)
    }


def _users(parameter: str, losses: dict[str, dict[str, dict]]) -> str:
    return ", ".join(kind for kind, accepted in losses.items() if parameter in accepted)


def _option(parameter: str) -> str:
    return "--" + parameter.replace("_", "-")
