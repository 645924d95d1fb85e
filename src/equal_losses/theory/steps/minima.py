from collections.abc import Mapping
from itertools import product

from equal_losses.theory import ufm
from equal_losses.theory.model import described, measure


def minima(settings: Mapping) -> list[dict]:
    """Minima of Eq. (7) with lambda_b = 0 from random starts: one row per penalty and seed, see `measure`."""
    rows = []
    for penalty_ratio, strength in product(settings["penalty_ratios"], settings["strengths"]):
        model, identity, expected = described({**settings, "strength": strength, "penalty_ratio": penalty_ratio})
        for seed in settings["seeds"]:
            point = ufm.minimise(model, model.random_point(seed))
            rows.append(identity | {"seed": seed} | measure(model, point, expected))
    return rows
