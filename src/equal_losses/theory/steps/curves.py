"""A loss as a function of its margin, and the margin over the penalties, as curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from equal_losses import losses
from equal_losses.theory import closed_form
from equal_losses.theory.contrastive import ReducedLoss


def curves(settings: Mapping) -> list[dict]:
    """psi(s) and the optimal margin over c, for each number of classes: one row per point of a curve.

    Curve "psi" has x = margin s and y = psi(s), curve "margin" x = K c and y = the optimal margin. y is found from the
    loss alone; y_closed_form is the closed form, None where there is none.
    """
    loss = settings["loss"]
    rows = []
    for classes in settings["classes"]:
        reduced = ReducedLoss(losses.build(loss), classes)
        fixed = {"loss": loss["name"], "kind": loss["kind"], "classes": classes}
        rows += [fixed | row for row in (*_psi(loss, reduced), *_margins(loss, reduced))]
    return rows


def _psi(loss: Mapping, reduced: ReducedLoss) -> Iterator[dict]:
    phi = closed_form.PHI.get(loss["kind"])
    margins = np.linspace(-4, 16, 201)
    for margin, value in zip(margins, reduced(margins)[0], strict=True):
        t = -(reduced.classes - 1) * margin
        closed = None if phi is None else float(phi(t, reduced.classes, **closed_form.loss_parameters(loss)))
        yield {"curve": "psi", "x": float(margin), "y": float(value), "y_closed_form": closed}


def _margins(loss: Mapping, reduced: ReducedLoss) -> Iterator[dict]:
    smallest = reduced.classes / (reduced.classes - 1) * reduced.largest_slope_without_minimiser
    for strength in np.geomspace(1e-3, 100, 26):
        if strength > smallest:
            c = float(strength / reduced.classes)
            yield {
                "curve": "margin",
                "x": float(strength),
                "y": reduced.optimal_margin(c),
                "y_closed_form": _closed_margin(loss, reduced.classes, c),
            }


def _closed_margin(loss: Mapping, classes: int, c: float) -> float | None:
    if loss["kind"] not in closed_form.PHI:
        return None
    return closed_form.global_minimiser(loss["kind"], classes, c, **closed_form.loss_parameters(loss)).margin
