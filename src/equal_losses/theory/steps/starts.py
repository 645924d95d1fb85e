"""Where descents of the unconstrained feature model from random starts end."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from equal_losses.theory import ufm
from equal_losses.theory.model import build_model, identity, prediction
from equal_losses.theory.paper import FOCAL_REGION
from equal_losses.theory.ufm import Point, UnconstrainedFeatureModel

GLOBAL_TOLERANCE = 1e-9  # relative to 1 + |f|; an end point within it has the global value


def starts(settings: Mapping) -> list[dict]:
    """L-BFGS on Eq. (7) from random starts: one row per start.

    Columns: the start's scale; at the end, value, certificate and number of classes with vanishing weights; at both,
    the share of samples outside the paper's region of the focal loss, p >= 0.21.
    """
    model = build_model(settings)
    fixed, expected = identity(model, settings["loss"]), prediction(model, settings["loss"])
    rows = []
    for index in range(settings["starts"]):
        seed, scale = settings["seed"] + index, settings["scales"][index % len(settings["scales"])]
        start = model.random_point(seed, scale)
        minimum = ufm.minimise(model, start)
        excess = minimum.value - expected.value
        row = {
            "seed": seed,
            "start_scale": scale,
            "start_outside_region": _share_outside_region(model, start),
            "value": minimum.value,
            "excess": excess,
            "is_global": bool(excess <= GLOBAL_TOLERANCE * (1 + abs(expected.value))),
            "gradient_norm": minimum.gradient_norm,
            "certificate": ufm.certificate(model, minimum.point),
            "end_outside_region": _share_outside_region(model, minimum.point),
            "vanished_classes": _vanished_classes(minimum.point),
        }
        rows.append(fixed | row)
    return rows


def _share_outside_region(model: UnconstrainedFeatureModel, point: Point) -> float:
    """The share of samples whose true class has a probability below `FOCAL_REGION`."""
    logits = model.logits(point)
    logits = logits - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return float(np.mean(probabilities[np.arange(len(logits)), model.labels] < FOCAL_REGION))


def _vanished_classes(point: Point) -> int:
    """Number of classes whose row of W is shorter than a thousandth of the longest; all if W = 0."""
    norms = np.linalg.norm(point.W, axis=1)
    return int(np.sum(norms < 1e-3 * max(norms.max(), 1e-3)))
