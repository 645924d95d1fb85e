"""The path of gradient descent on the unconstrained feature model."""

from __future__ import annotations

from collections.abc import Mapping

from equal_losses.theory import ufm
from equal_losses.theory.measure import measure
from equal_losses.theory.model import build_model, identity, prediction
from equal_losses.theory.steps._checkpoints import checkpoints


def descent(settings: Mapping) -> list[dict]:
    """Gradient descent on Eq. (7): one row per checkpoint, see `measure`. Checkpoints are even in log(iteration)."""
    model = build_model(settings)
    expected = prediction(model, settings["loss"])
    start = model.random_point(settings["seed"], settings["start_scale"])
    iterations = checkpoints(settings["iterations"], settings["checkpoints"])
    fixed = identity(model, settings["loss"]) | {"seed": settings["seed"], "step": settings["step"]}
    return [
        fixed | {"iteration": iteration} | measure(model, point, expected)
        for iteration, point in ufm.gradient_descent(model, start, settings["step"], iterations)
    ]
