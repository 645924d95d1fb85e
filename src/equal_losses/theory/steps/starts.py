from collections.abc import Mapping

import numpy as np
from scipy.special import softmax

from equal_losses.theory import ufm
from equal_losses.theory.closed_form import objective_tolerance
from equal_losses.theory.model import described
from equal_losses.theory.paper import FOCAL_REGION


def starts(settings: Mapping) -> list[dict]:
    """L-BFGS on Eq. (7) from random starts: one row per start.

    Columns: the start's scale; at the end, value, certificate and number of classes with vanishing weights; at both,
    the share of samples outside the paper's region of the focal loss, p >= 0.21.
    """
    model, identity, expected = described(settings)
    rows = []
    for index in range(settings["starts"]):
        seed, scale = settings["seed"] + index, settings["scales"][index % len(settings["scales"])]
        start = model.random_point(seed, scale)
        end = ufm.minimise(model, start)
        value = model.value_and_gradient(end)[0]
        norms = np.linalg.norm(end.W, axis=1)
        row = {
            "seed": seed,
            "start_scale": scale,
            "start_outside_region": _share_outside_region(model, start),
            "value": value,
            "excess": value - expected.value,
            "is_global": bool(value - expected.value <= objective_tolerance(expected.value)),
            "gradient_norm": model.gradient_norm(end),
            "certificate": ufm.certificate(model, end),
            "end_outside_region": _share_outside_region(model, end),
            # Rows of W shorter than a thousandth of the longest; all if W = 0.
            "vanished_classes": int(np.sum(norms < 1e-3 * max(norms.max(), 1e-3))),
        }
        rows.append(identity | row)
    return rows


def _share_outside_region(model: ufm.UnconstrainedFeatureModel, point: ufm.Point) -> float:
    """The share of samples whose true class has a probability below `FOCAL_REGION`."""
    probabilities = softmax(model.logits(point), axis=1)
    return float(np.mean(probabilities[np.arange(len(model.labels)), model.labels] < FOCAL_REGION))
