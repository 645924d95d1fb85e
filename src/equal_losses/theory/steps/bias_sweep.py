from collections.abc import Mapping

from equal_losses.theory import ufm
from equal_losses.theory.model import described, measure


def bias_sweep(settings: Mapping) -> list[dict]:
    """Minima of Eq. (7) under MSE or binary cross entropy: one row per lambda_b.

    See `measure`; the predicted NC2 is there as well.
    """
    rows = []
    for lambda_b in settings["lambda_b"]:
        model, identity, expected = described({**settings, "lambda_b": lambda_b})
        point = ufm.minimise(model, model.random_point(settings["seed"]))
        row = identity | {"seed": settings["seed"]} | measure(model, point, expected)
        rows.append(row | {"nc2_closed_form": expected.nc2(model.classes)})
    return rows
