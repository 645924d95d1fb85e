from collections.abc import Mapping
from functools import partial

import numpy as np
from scipy.optimize import bisect
from scipy.special import expit

from equal_losses.losses.focal import focal
from equal_losses.theory.closed_form import focal_convexity_threshold
from equal_losses.theory.convexity import smallest_zero_sum_curvature


def focal_convexity(settings: Mapping) -> list[dict]:
    """Where the focal loss's Hessian has no negative eigenvalue: one row per gamma and K.

    `threshold` is found by bisection in log(p/(1-p)), from the smallest eigenvalue at logits whose other entries are
    random; the closed form is beside it.
    """
    generator = np.random.default_rng(settings["seed"])
    rows = []
    for gamma in settings["gammas"]:
        for classes in settings["classes"]:
            others = generator.standard_normal(classes - 1)

            def curvature(log_odds: float, gamma: float = gamma, others: np.ndarray = others) -> float:
                logits = np.concatenate([[log_odds + np.log(np.exp(others).sum())], others])
                return smallest_zero_sum_curvature(partial(focal, gamma=gamma), logits, 0)

            rows.append(
                {
                    "gamma": gamma,
                    "classes": classes,
                    "threshold": float(expit(bisect(curvature, -30, 0, xtol=1e-10))),
                    "threshold_closed_form": focal_convexity_threshold(gamma),
                }
            )
    return rows
