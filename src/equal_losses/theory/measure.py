"""A point of the unconstrained feature model beside what the theory predicts for it."""

from __future__ import annotations

import math

import numpy as np

from equal_losses.metrics.collapse import collapse_metrics
from equal_losses.theory import ufm
from equal_losses.theory.closed_form import GlobalMinimiser
from equal_losses.theory.ufm import Point, UnconstrainedFeatureModel

METRICS = ("nc1", "nc2", "nc3", "nc2_centered", "nc3_centered")


def measure(model: UnconstrainedFeatureModel, point: Point, expected: GlobalMinimiser) -> dict:
    """A point compared with the prediction and with Theorem 1.

    - objective, margin (mean over samples and other classes, in logit units), weight_norm_sq (mean of ||w^k||^2), each
      with its closed form; margin_error is the largest deviation of any single margin and objective_error that of the
      objective, relative where the closed form is not zero;
    - the deviations of `ufm.theorem_1_deviations` and the NC metrics, None where the prediction or, without one, the
      point is the zero solution; then size, the largest entry of W and H, should vanish;
    - certificate and gradient_norm.

    Without a prediction (`model.UNKNOWN`), the closed forms and the errors are not a number.
    """
    objective, _ = model.value_and_gradient(point)
    margins = ufm.margins(model, point)
    size = float(max(np.abs(point.W).max(), np.abs(point.H).max()))
    collapsed = size < 1e-9 if math.isnan(expected.margin) else expected.margin == 0 and expected.shared == 0
    if collapsed:
        deviations = dict.fromkeys(("weight_norms", "bias", "duality", "feature_mean", "etf", *METRICS))
    else:
        metrics = collapse_metrics(point.H, model.labels, point.W, point.b)
        deviations = ufm.theorem_1_deviations(model, point) | {name: metrics[name] for name in METRICS}
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
