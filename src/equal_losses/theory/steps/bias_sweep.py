"""Minima of the unconstrained feature model under MSE with a penalised bias."""

from __future__ import annotations

from collections.abc import Mapping

from equal_losses.theory import ufm
from equal_losses.theory.measure import measure
from equal_losses.theory.model import build_model, identity, prediction


def bias_sweep(settings: Mapping) -> list[dict]:
    """Minima of Eq. (7) under MSE: one row per lambda_b, see `measure`, with the predicted NC2 as well."""
    rows = []
    for lambda_b in settings["lambda_b"]:
        model = build_model(settings, lambda_b)
        expected = prediction(model, settings["loss"])
        minimum = ufm.minimise(model, model.random_point(settings["seed"]))
        rows.append(
            identity(model, settings["loss"])
            | {"seed": settings["seed"]}
            | measure(model, minimum.point, expected)
            | {"nc2_closed_form": expected.nc2(model.classes)}
        )
    return rows
