"""The path of gradient descent, as it is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from equal_losses.theory.ufm import Point, UnconstrainedFeatureModel, gradient_descent


def descended(model: UnconstrainedFeatureModel, settings: Mapping) -> Iterator[tuple[int, Point]]:
    """Iterations and points of gradient descent from a random start."""
    start = model.random_point(settings["seed"], settings["start_scale"])
    return gradient_descent(
        model, start, settings["step"], checkpoints(settings["iterations"], settings["checkpoints"])
    )


def checkpoints(iterations: int, count: int) -> list[int]:
    """0 and at most `count` iterations up to the last, even in log(iteration)."""
    return [0, *np.unique(np.geomspace(1, iterations, count).round().astype(int)).tolist()]
