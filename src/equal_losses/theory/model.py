"""The unconstrained feature model of a case, and what the theory predicts for it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from equal_losses import losses
from equal_losses.running.errors import InputError
from equal_losses.theory import closed_form, contrastive
from equal_losses.theory.closed_form import GlobalMinimiser
from equal_losses.theory.ufm import UnconstrainedFeatureModel

UNKNOWN = GlobalMinimiser(math.nan, math.nan)  # where nothing is predicted


def penalties(classes: int, samples: int, strength: float, penalty_ratio: float) -> tuple[float, float]:
    """lambda_W and lambda_H with K sqrt(n lambda_W lambda_H) = strength and lambda_W / lambda_H = penalty_ratio."""
    geometric_mean = strength / classes / math.sqrt(samples)
    return geometric_mean * math.sqrt(penalty_ratio), geometric_mean / math.sqrt(penalty_ratio)


def build_model(settings: Mapping, lambda_b: float = 0.0) -> UnconstrainedFeatureModel:
    """The model that `loss`, `classes`, `samples`, `dim`, `strength` and `penalty_ratio` of a case describe."""
    classes, samples = settings["classes"], settings["samples"]
    lambda_W, lambda_H = penalties(classes, samples, settings["strength"], settings["penalty_ratio"])
    loss = losses.build(settings["loss"])
    return UnconstrainedFeatureModel(loss, classes, samples, settings["dim"], lambda_W, lambda_H, lambda_b)


def prediction(model: UnconstrainedFeatureModel, loss: Mapping) -> GlobalMinimiser:
    """The global minimiser of a model: in closed form, or from the reduced loss where the kind has none.

    The latter holds where Theorem 1 does, for losses of Definition 1 with lambda_b = 0. It is `UNKNOWN` where the
    reduced loss has no minimiser.
    """
    if loss["kind"] in closed_form.PHI:
        return closed_form.global_minimiser(
            loss["kind"], model.classes, model.c, model.lambda_b, **closed_form.loss_parameters(loss)
        )
    reduced = contrastive.ReducedLoss(model.loss, model.classes)
    try:
        margin = reduced.optimal_margin(model.c)
    except InputError:
        return UNKNOWN
    value = float(reduced(np.array([margin]))[0][0]) + (model.classes - 1) * model.c * margin
    return GlobalMinimiser(margin, value)


def identity(model: UnconstrainedFeatureModel, loss: Mapping) -> dict:
    """What a row is about: the loss, and the sizes and penalties of its model."""
    return {
        "loss": loss["name"],
        "kind": loss["kind"],
        "classes": model.classes,
        "samples": model.samples,
        "dim": model.dim,
        "lambda_W": model.lambda_W,
        "lambda_H": model.lambda_H,
        "lambda_b": model.lambda_b,
        "strength": model.classes * model.c,
    }
