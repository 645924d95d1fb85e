"""The unconstrained feature model of a case, what the theory predicts for it, and points of it beside that."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from equal_losses import losses
from equal_losses.metrics.collapse import collapse_metrics
from equal_losses.running.errors import InputError
from equal_losses.theory import closed_form, ufm
from equal_losses.theory.closed_form import GlobalMinimiser
from equal_losses.theory.convexity import is_convex
from equal_losses.theory.reduced import ReducedLoss
from equal_losses.theory.ufm import Point, UnconstrainedFeatureModel

METRICS = ("nc1", "nc2", "nc3", "nc2_centered", "nc3_centered")
UNKNOWN = GlobalMinimiser(math.nan, math.nan)  # where nothing is predicted


def penalties(classes: int, samples: int, strength: float, penalty_ratio: float) -> tuple[float, float]:
    """lambda_W and lambda_H with K sqrt(n lambda_W lambda_H) = strength and lambda_W / lambda_H = penalty_ratio."""
    geometric_mean = strength / classes / math.sqrt(samples)
    return geometric_mean * math.sqrt(penalty_ratio), geometric_mean / math.sqrt(penalty_ratio)


def build_model(settings: Mapping) -> UnconstrainedFeatureModel:
    """The model that `loss`, `classes`, `samples`, `dim`, `strength` and `penalty_ratio` of a case describe.

    `lambda_b` is 0 where the case has none.
    """
    classes, samples = settings["classes"], settings["samples"]
    lambda_W, lambda_H = penalties(classes, samples, settings["strength"], settings["penalty_ratio"])
    loss, lambda_b = losses.build(settings["loss"]), settings.get("lambda_b", 0.0)
    return UnconstrainedFeatureModel(loss, classes, samples, settings["dim"], lambda_W, lambda_H, lambda_b)


def descended(model: UnconstrainedFeatureModel, settings: Mapping) -> Iterator[tuple[int, Point]]:
    """Iterations and points of gradient descent from a random start, as a case describes it."""
    start = model.random_point(settings["seed"], settings["start_scale"])
    looked_at = checkpoints(settings["iterations"], settings["checkpoints"])
    return ufm.gradient_descent(model, start, settings["step"], looked_at)


def checkpoints(iterations: int, count: int) -> list[int]:
    """0 and at most `count` iterations up to the last, even in log(iteration)."""
    return [0, *np.unique(np.geomspace(1, iterations, count).round().astype(int)).tolist()]


def described(settings: Mapping) -> tuple[UnconstrainedFeatureModel, dict, GlobalMinimiser]:
    """The model of a case; what a row of it is about, as its first columns; and what is predicted."""
    model, loss = build_model(settings), settings["loss"]
    identity = {
        "loss": loss["name"],
        "kind": loss["kind"],
        "classes": model.classes,
        "samples": model.samples,
        "dim": model.dim,
        "lambda_W": model.lambda_W,
        "lambda_H": model.lambda_H,
        "lambda_b": model.lambda_b,
        "strength": model.classes * model.c,
        "is_convex": is_convex(model.loss, model.classes, samples=500),
    }
    return model, identity, prediction(model, loss)


def prediction(model: UnconstrainedFeatureModel, loss: Mapping) -> GlobalMinimiser:
    """The global minimiser of a model: in closed form, or from the reduced loss where the kind has none.

    The latter is the global minimiser where the bound of one sample says so (see `pointwise`), and otherwise the best
    among those that are neural collapse. It is `UNKNOWN` where the reduced loss has no minimiser, and where a penalised
    bias moves the logits of a loss that a common shift changes.
    """
    if loss["kind"] in closed_form.MINIMISERS:
        return closed_form.global_minimiser(
            loss["kind"], model.classes, model.c, model.lambda_b, **closed_form.loss_parameters(loss)
        )
    if model.lambda_b and not model.ignores_shift:
        return UNKNOWN
    return best_collapse(model)


def best_collapse(model: UnconstrainedFeatureModel) -> GlobalMinimiser:
    """The best of the points that are neural collapse, from the reduced loss; `UNKNOWN` where it has no minimiser."""
    reduced = ReducedLoss(model.loss, model.classes)
    try:
        margin = reduced.optimal_margin(model.c)
    except InputError:
        return UNKNOWN
    value = float(reduced(np.array([margin]))[0][0]) + (model.classes - 1) * model.c * margin
    return GlobalMinimiser(margin, value)


def measure(model: UnconstrainedFeatureModel, point: Point, expected: GlobalMinimiser) -> dict:
    """A point compared with the prediction and with Theorem 1.

    - objective, margin (mean over samples and other classes, in logit units), weight_norm_sq (mean of ||w^k||^2), each
      with its closed form; margin_error is the largest deviation of any single margin and objective_error that of the
      objective, relative where the closed form is not zero;
    - the deviations of `ufm.theorem_1_deviations` and the NC metrics, None where the prediction or, without one, the
      point is the zero solution; then size, the largest entry of W and H, should vanish;
    - logit_gradient, that of `ufm.logit_gradient_deviation`, None for the zero solution;
    - certificate and gradient_norm.

    Without a prediction (`model.UNKNOWN`), the closed forms and the errors are not a number.
    """
    objective, _ = model.value_and_gradient(point)
    margins = ufm.margins(model, point)
    size = float(max(np.abs(point.W).max(), np.abs(point.H).max()))
    collapsed = size < 1e-9 if math.isnan(expected.margin) else expected.margin == 0 and expected.shared == 0
    if collapsed:
        deviations = dict.fromkeys(
            ("weight_norms", "bias", "duality", "feature_mean", "etf", *METRICS, "logit_gradient")
        )
    else:
        metrics = collapse_metrics(point.H, model.labels, point.W, point.b)
        deviations = ufm.theorem_1_deviations(model, point) | {name: metrics[name] for name in METRICS}
        deviations["logit_gradient"] = ufm.logit_gradient_deviation(model, point)
    return {
        "objective": objective,
        "objective_closed_form": expected.value,
        "objective_error": abs(objective - expected.value) / (abs(expected.value) or 1),
        "margin": float(margins.mean()),
        "margin_closed_form": expected.margin,
        "margin_error": float(np.abs(margins - expected.margin).max() / (expected.margin or 1)),
        "weight_norm_sq": float(np.mean(np.sum(point.W**2, axis=1))),
        "weight_norm_sq_closed_form": expected.weight_norm_sq(
            model.classes, model.samples, model.lambda_W, model.lambda_H
        ),
        "is_zero_solution": collapsed,
        "size": size,
        **deviations,
        "certificate": ufm.certificate(model, point),
        "gradient_norm": model.gradient_norm(point),
    }
