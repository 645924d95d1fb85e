"""Minima of the unconstrained feature model."""

from __future__ import annotations

from collections.abc import Mapping

from equal_losses.theory import ufm
from equal_losses.theory.measure import measure
from equal_losses.theory.model import build_model, identity, prediction


def minima(settings: Mapping) -> list[dict]:
    """Minima of Eq. (7) with lambda_b = 0 from random starts: one row per penalty and seed, see `measure`."""
    rows = []
    for penalty_ratio in settings["penalty_ratios"]:
        for strength in settings["strengths"]:
            model = build_model({**settings, "strength": strength, "penalty_ratio": penalty_ratio})
            fixed, expected = identity(model, settings["loss"]), prediction(model, settings["loss"])
            for seed in settings["seeds"]:
                minimum = ufm.minimise(model, model.random_point(seed))
                rows.append(fixed | {"seed": seed} | measure(model, minimum.point, expected))
    return rows
