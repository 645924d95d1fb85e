from collections.abc import Mapping

from equal_losses.theory import landscape, ufm
from equal_losses.theory.closed_form import objective_tolerance
from equal_losses.theory.model import described


def critical_points(settings: Mapping) -> list[dict]:
    """Critical points of Eq. (7): one row per rank (rank 0 is the origin, rank K-1 a minimum).

    Columns: value, gradient norm, certificate, smallest Hessian eigenvalue, the curvature along the escape direction
    as predicted and as measured, and for small models the Hessian's nullity at the minimum, counted and expected.
    """
    model, identity, expected = described(settings)
    ranks = settings["ranks"]
    if ranks is None:
        ranks = sorted({0, 1, model.classes // 2, model.classes - 2, model.classes - 1})
    rows = []
    for rank in ranks:
        point = landscape.critical_point_of_rank(model, rank, settings["seed"])
        value = model.value_and_gradient(point)[0]
        direction, predicted_curvature = landscape.escape_direction(model, point)
        is_global = value - expected.value <= objective_tolerance(expected.value)
        is_minimum = rank == model.classes - 1 and expected.margin > 0 and is_global
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
        rows.append(identity | row)
    return rows
