from collections.abc import Mapping

from equal_losses.theory.model import descended, described, measure


def descent(settings: Mapping) -> list[dict]:
    """Gradient descent on Eq. (7): one row per checkpoint, see `measure`. Checkpoints are even in log(iteration)."""
    model, identity, expected = described(settings)
    fixed = identity | {"seed": settings["seed"], "step": settings["step"]}
    return [
        fixed | {"iteration": iteration} | measure(model, point, expected)
        for iteration, point in descended(model, settings)
    ]
