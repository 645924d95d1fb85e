from collections.abc import Iterator, Mapping

import numpy as np

from equal_losses import losses
from equal_losses.theory import closed_form
from equal_losses.theory.reduced import ReducedLoss


def curves(settings: Mapping) -> list[dict]:
    """psi(s) and the optimal margin over c, for each number of classes: one row per point of a curve.

    Curve "psi" has x = margin s and y = psi(s), curve "margin" x = K c and y = the optimal margin. y is found from the
    loss alone; y_closed_form is the closed form, None where there is none.
    """
    loss = settings["loss"]
    names = ("curve", "x", "y", "y_closed_form")
    return [
        {"loss": loss["name"], "kind": loss["kind"], "classes": classes, **dict(zip(names, point, strict=True))}
        for classes in settings["classes"]
        for point in _points(loss, ReducedLoss(losses.build(loss), classes))
    ]


def _points(loss: Mapping, reduced: ReducedLoss) -> Iterator[tuple[str, float, float, float | None]]:
    classes, kind, parameters = reduced.classes, loss["kind"], closed_form.loss_parameters(loss)
    has_closed_form = kind in closed_form.PHI
    margins = np.linspace(-4, 16, 201)
    for margin, value in zip(margins.tolist(), reduced(margins)[0].tolist(), strict=True):
        t = -(classes - 1) * margin
        yield "psi", margin, value, float(closed_form.PHI[kind](t, classes, **parameters)) if has_closed_form else None
    smallest = classes / (classes - 1) * reduced.largest_slope_without_minimiser
    for strength in np.geomspace(1e-3, 100, 51).tolist():
        if strength > smallest:
            c = strength / classes
            closed = closed_form.global_minimiser(kind, classes, c, **parameters).margin if has_closed_form else None
            yield "margin", strength, reduced.optimal_margin(c), closed
