"""Where gradient descent is looked at."""

from __future__ import annotations

import numpy as np


def checkpoints(iterations: int, count: int) -> list[int]:
    """0 and at most `count` iterations up to the last, even in log(iteration)."""
    return [0, *np.unique(np.geomspace(1, iterations, count).round().astype(int)).tolist()]
