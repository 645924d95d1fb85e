"""Critical points of the unconstrained feature model and their curvature."""

from __future__ import annotations

from collections.abc import Mapping

from equal_losses.theory import landscape, ufm
from equal_losses.theory.model import build_model, identity, prediction


def critical_points(settings: Mapping) -> list[dict]:
    """Critical points of Eq. (7): one row per rank (rank 0 is the origin, rank K-1 a minimum).

    Columns: value, gradient norm, certificate, smallest Hessian eigenvalue, the curvature along the escape direction
    as predicted and as measured, and for small models the Hessian's nullity at the minimum, counted and expected.
    """
    model = build_model(settings)
    fixed, expected = identity(model, settings["loss"]), prediction(model, settings["loss"])
    rows = []
    for rank in settings["ranks"]:
        point = landscape.critical_point_of_rank(model, rank, settings["seed"]).point
        value = model.value_and_gradient(point)[0]
        direction, predicted_curvature = landscape.escape_direction(model, point)
        is_minimum = rank == model.classes - 1 and expected.margin > 0
        counted = is_minimum and model.size <= landscape.DENSE_SIZE
        row = {
            "rank": rank,
            "value": value,
            "excess": value - expected.value,
            "gradient_norm": model.gradient_norm(point),
            "certificate": ufm.certificate(model, point),
            "smallest_eigenvalue": landscape.smallest_hessian_eigenvalue(model, point),
            "escape_curvature_closed_form": predicted_curvature,
            "escape_curvature": landscape.curvature(model, point, direction),
            "nullity": landscape.hessian_nullity(model, point) if counted else None,
            "nullity_closed_form": landscape.expected_hessian_nullity(model) if counted else None,
        }
        rows.append(fixed | row)
    return rows
