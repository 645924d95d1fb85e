"""Where the focal loss is convex."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from equal_losses.losses.focal import focal
from equal_losses.theory.closed_form import focal_convexity_threshold
from equal_losses.theory.contrastive import Loss, smallest_zero_sum_curvature


def focal_convexity(settings: Mapping) -> list[dict]:
    """Where the focal loss's Hessian has no negative eigenvalue: one row per gamma and K.

    `threshold` is found by bisection in p, from the eigenvalues at logits whose other entries are random; the closed
    form is beside it.
    """
    generator = np.random.default_rng(settings["seed"])
    rows = []
    for gamma in settings["gammas"]:
        for classes in settings["classes"]:
            others = generator.standard_normal(classes - 1)
            rows.append(
                {
                    "gamma": gamma,
                    "classes": classes,
                    "threshold": _threshold(partial(focal, gamma=gamma), others),
                    "threshold_closed_form": focal_convexity_threshold(gamma),
                }
            )
    return rows


def _threshold(loss: Loss, others: np.ndarray) -> float:
    """The p at which the smallest eigenvalue of the loss's Hessian turns positive, by bisection in log(p/(1-p))."""
    log_sum = np.log(np.exp(others).sum())

    def curvature(log_odds: float) -> float:
        return smallest_zero_sum_curvature(loss, np.concatenate([[log_odds + log_sum], others]), 0)

    low, high = -40.0, 0.0
    while high - low > 1e-10:
        middle = (low + high) / 2
        low, high = (middle, high) if curvature(middle) < 0 else (low, middle)
    return 1 / (1 + math.exp(-high))
