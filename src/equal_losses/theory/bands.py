"""Losses F(p) of the probability of the true class: where they are convex, and the band of c with two minima.

Derived here. With all other logits equal dp/ds = p (1-p), so psi'(s) = -pull(p), pull = -F'(p) p (1-p), and critical
margins solve pull(p) = (K-1) c. The origin has a way down exactly below c = pull(1/K)/(K-1). Where pull rises at
p = 1/K, up to the threshold beyond which the loss is convex in the logits, there is a band: from that c to the fold,
c = max pull/(K-1), margin 0 and a positive one are both minima, and at the tie, where a line through (0, psi(0))
touches psi, they are as low. In all four pull rises up to one p and falls beyond.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from equal_losses.theory.closed_form import focal_convexity_threshold


class Band(NamedTuple):
    """K c where the origin ceases to have a way down, of the tie and of the fold; and the larger margin at the tie."""

    origin: float
    tie: float
    fold: float
    margin: float


def band(kind: str, classes: int, **parameters: float) -> Band | None:
    """The band of gce, poly1, sce or focal; None where psi is convex on s >= 0, so that there is none.

    Args:
        classes: K, at least 2.
        parameters: the loss's own.
    """
    value, pull, threshold = _FAMILY[kind](**parameters)
    if threshold <= 1 / classes:
        return None

    def of_margin(s: float) -> float:
        return 1 / (1 + (classes - 1) * math.exp(-s))

    def excess(s: float) -> float:
        """How far the tangent at s passes below psi(0), times -1."""
        p = of_margin(s)
        return value(1 / classes) - value(p) - s * pull(p)

    peak = math.log((classes - 1) * threshold / (1 - threshold))
    margin = brentq(excess, peak, peak + 60, xtol=1e-13)
    ratio = classes / (classes - 1)
    return Band(ratio * pull(1 / classes), ratio * pull(of_margin(margin)), ratio * pull(threshold), margin)


def convexity_threshold(kind: str, **parameters: float) -> float:
    """The p at and above which the loss is convex in the logits, whatever K; see `focal_convexity_threshold`."""
    return _FAMILY[kind](**parameters)[2]


def _gce(q: float = 0.7) -> tuple:
    return lambda p: (1 - p**q) / q, lambda p: p**q * (1 - p), q / (1 + q)


def _sce(alpha: float = 0.1, beta: float = 1.0, log_zero: float = -4.0) -> tuple:
    """alpha times cross entropy plus B (1 - p)."""
    linear = -beta * log_zero
    threshold = (1 - alpha / linear) / 2 if linear > alpha else 0.0
    return (
        lambda p: -alpha * np.log(p) + linear * (1 - p),
        lambda p: (1 - p) * (alpha + linear * p),
        threshold,
    )


def _poly1(epsilon: float = 2.0) -> tuple:
    """Symmetric cross entropy with alpha = 1 and B = epsilon."""
    return _sce(1.0, epsilon, -1.0)


def _focal(gamma: float = 3.0) -> tuple:
    return (
        lambda p: -((1 - p) ** gamma) * np.log(p),
        lambda p: (1 - p) ** gamma * (1 - p - gamma * p * np.log(p)),
        focal_convexity_threshold(gamma),
    )


_FAMILY = {"gce": _gce, "sce": _sce, "poly1": _poly1, "focal": _focal}
