from collections.abc import Mapping

import numpy as np

from equal_losses import losses
from equal_losses.theory import closed_form
from equal_losses.theory.bands import band
from equal_losses.theory.reduced import ReducedLoss


def bands(settings: Mapping) -> list[dict]:
    """K c of the band with two minima, from the loss alone and in closed form: one row per K that has one.

    Columns: `origin`, below which margin 0 is no minimum, `tie` and `fold` (see `theory.bands`), and the margin at the
    tie.
    """
    loss, rows = settings["loss"], []
    for classes in settings["classes"]:
        expected = band(loss["kind"], classes, **closed_form.loss_parameters(loss))
        if expected is None:
            continue
        reduced, ratio = ReducedLoss(losses.build(loss), classes), classes / (classes - 1)
        tie = reduced.ties[0]
        near = np.linspace(0, tie.margins[1], 2001)
        pull = -ratio * reduced(near)[1]
        found = {"origin": pull[0], "tie": classes * tie.c, "fold": pull.max(), "tie_margin": tie.margins[1]}
        identity = {"loss": loss["name"], "kind": loss["kind"], "classes": classes}
        closed = dict(zip((f"{name}_closed_form" for name in found), expected, strict=True))
        rows.append(identity | {name: float(value) for name, value in found.items()} | closed)
    return rows
