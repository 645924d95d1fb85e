"""What the theory predicts in closed form for Eq. (7), Definition 1 and Corollary 2.

Notation: K classes, n samples per class, c = sqrt(n lambda_W lambda_H), margin s = z_k - z_j, t = -(K-1) s the
contrast sum_{j != k} (z_j - z_k), p the softmax probability of the true class. Losses are named by their kinds, the
file names of `losses`, and take the same parameters.

Why one number is enough (derived here, after the proof of Theorem 1): lambda_W/2 ||W||^2 + lambda_H/2 ||H||^2 is at
least sqrt(lambda_W lambda_H) ||W H||_*, with equality for balanced factors. If all margins are s, then
W H = s (I - 11^T/K) times n copies, whose nuclear norm is s (K-1) sqrt(n), so the objective is phi(t) + c |t|: a
function psi(s) + (K-1) c s of the margin alone. The minimisers below are the roots of its derivative.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import logit, xlogy

from equal_losses.running.errors import InputError


@dataclass(frozen=True)
class GlobalMinimiser:
    """A global minimiser of Eq. (7), up to a rotation of the feature space.

    Attributes:
        margin: s = z_k - z_j, in logit units.
        value: the objective there.
        bias: b*, the common entry of b; meaningless (zero here) where the loss ignores it and lambda_b is 0.
        shared: the eigenvalue of W H along the all-ones direction, where that of the simplex ETF is zero and the
            other K - 1 are `margin`. Only MSE and binary cross entropy with a large lambda_b have it above zero; under
            the latter the eigenvalue is minus this, W and H being opposed there.
    """

    margin: float
    value: float
    bias: float = 0.0
    shared: float = 0.0

    def weight_norm_sq(self, classes: int, samples: int, lambda_W: float, lambda_H: float) -> float:
        """||w^k||^2, equal for all k.

        W = V S^(1/2) (n lambda_H / lambda_W)^(1/4) balances the factors of W H = V S U^T sqrt(n), so W W^T has the
        eigenvalues of W H times sqrt(n lambda_H / lambda_W); ||w^k||^2 is their sum over K.
        """
        trace = (classes - 1) * self.margin + self.shared
        return trace / classes * math.sqrt(samples * lambda_H / lambda_W)

    def nc2(self, classes: int) -> float:
        """NC2 of W, uncentered as in the paper (Section 4): 0 for a simplex ETF; not a number where W = 0.

        W W^T has K - 1 eigenvalues proportional to `margin` and one proportional to `shared`.
        """
        norm = math.hypot(math.sqrt(classes - 1) * self.margin, self.shared)
        if norm == 0:
            return math.nan
        # The distance of two unit vectors from their components, which cancels less than from their angle.
        etf_entry = self.margin / norm - 1 / math.sqrt(classes - 1)
        return math.hypot(math.sqrt(classes - 1) * etf_entry, self.shared / norm)


def objective_tolerance(value: ArrayLike) -> ArrayLike:
    """How far another objective may be from this one and count as the same: 1e-9, relative to 1 + |value|."""
    return 1e-9 * (1 + abs(value))


def global_minimiser(kind: str, classes: int, c: float, lambda_b: float = 0.0, **parameters) -> GlobalMinimiser:
    """The global minimiser of Eq. (7) for a loss named by its kind, with d > K.

    Args:
        kind: one of `MINIMISERS`.
        classes: K, at least 2.
        c: sqrt(n lambda_W lambda_H), positive.
        lambda_b: at least 0; it matters to MSE and bce alone: the other losses ignore a common shift of the logits.
        parameters: the loss's own, see `loss_parameters`.

    Raises:
        InputError: for a parameter out of range.
    """
    return MINIMISERS[kind](classes, c, lambda_b, **parameters)


def _cross_entropy_minimiser(classes: int, c: float, lambda_b: float, smoothing: float = 0.0) -> GlobalMinimiser:
    """Derived here: psi'(s) = -(1 - p) = -(K-1) c gives e^s = 1/c - K + 1, positive s if and only if K c < 1.

    The smoothed targets add alpha (K-1)/K s to the cross entropy, so c becomes c + alpha/K.
    """
    if not 0 <= smoothing < 1:
        raise InputError(f"smoothing is {smoothing}; allowed: at least 0 and below 1")
    ratio = 1 / (c + smoothing / classes) - classes + 1
    margin = math.log(ratio) if ratio > 1 else 0.0
    return _from_margin(phi_label_smoothing, margin, classes, c, smoothing=smoothing)


def _focal_minimiser(classes: int, c: float, lambda_b: float, gamma: float) -> GlobalMinimiser:
    """Derived here: with dp/ds = p (1-p), psi'(s) = -(1-p)^gamma ((1-p) - gamma p log p).

    -psi' rises up to the convexity threshold and falls to zero beyond it. So the critical margin that is a minimum
    is the larger root of -psi' = (K-1) c; it competes with s = 0, which can win where p = 1/K is below the threshold.
    """
    peak = _focal_peak(classes, gamma)
    if _focal_pull(peak, classes, gamma) <= (classes - 1) * c:
        return _from_margin(phi_focal, 0.0, classes, c, gamma=gamma)
    upper = peak + 1.0
    while _focal_pull(upper, classes, gamma) > (classes - 1) * c:
        upper += 1.0
    margin = brentq(lambda s: _focal_pull(s, classes, gamma) - (classes - 1) * c, peak, upper, xtol=1e-14, rtol=1e-14)
    candidates = [_from_margin(phi_focal, s, classes, c, gamma=gamma) for s in (margin, 0.0)]
    return min(candidates, key=lambda candidate: candidate.value)


def _mse_minimiser(
    classes: int, c: float, lambda_b: float, kappa: float, beta: float, class_reduction: str = "sum"
) -> GlobalMinimiser:
    """Derived here: the loss is strictly convex and the same for all classes and samples, so the logits of a minimiser
    share that symmetry: W H = (s (I - 11^T/K) + m 11^T/K) times n copies and b = b 1. That leaves the convex problem

        kappa (z_k - beta)^2 + (K-1) z_j^2 + c ((K-1) |s| + |m|) + lambda_b K b^2 / 2,    z_k = z_j + s,
        z_j = (m - s)/K + b.

    For m = 0 and s > 0 its derivatives in s and b give z_j = (c - lambda_b b)/2 and kappa (z_k - beta) = z_j - c K/2.
    That holds while lambda_b b <= c; beyond, m > 0 carries what the bias no longer pays for: z_j = 0, lambda_b b = c.
    The mean over classes is 1/K of the sum, which multiplies c and lambda_b by K.
    """
    for name, value in (("kappa", kappa), ("beta", beta)):
        if not 0 < value < math.inf:
            raise InputError(f"{name} is {value}; allowed: positive numbers")
    scale = _mse_scale(classes, class_reduction)
    c, lambda_b = scale * c, scale * lambda_b
    target = beta - c * classes / (2 * kappa)  # z_k - z_j where z_j = 0
    slope = 1 + (1 / kappa - 1) / classes  # d b / d z_j
    bias = (target / classes + slope * c / 2) / (1 + slope * lambda_b / 2)
    other = (c - lambda_b * bias) / 2
    margin, shared = target + (1 / kappa - 1) * other, 0.0
    if margin <= 0:
        margin, bias = 0.0, kappa * beta / (kappa + classes - 1 + lambda_b * classes / 2)
        other = bias
    elif lambda_b * bias > c:
        margin, bias, other = target, c / lambda_b, 0.0
        shared = margin - classes * bias
    value = (
        kappa * (other + margin - beta) ** 2
        + (classes - 1) * other**2
        + c * ((classes - 1) * margin + shared)
        + lambda_b * classes * bias**2 / 2
    )
    return GlobalMinimiser(margin, value / scale, bias, shared)


def _bce_minimiser(classes: int, c: float, lambda_b: float) -> GlobalMinimiser:
    """Derived here, with W H and b of the same form as under MSE: with u = sigma(z_j) and v = 1 - sigma(z_k), the
    objective is -log(1-v) - (K-1) log(1-u) + c ((K-1) s + |m|) + lambda_b K b^2 / 2.

    Its derivative in s gives u + v = K c if s > 0, which needs K c < 1, and u + v = 1 otherwise. That in b is
    (K-1) u - v = -lambda_b K b, and the one in m lets m be other than 0 only where that is K c: b < 0, as false classes
    outnumber the true one. So b grows from 0 to -c/lambda_b with lambda_b, and beyond m < 0 carries what the bias no
    longer pays for: u = (u + v)/K + c, frozen.
    """
    total = min(classes * c, 1.0)

    def logits(bias: float) -> tuple[float, float]:
        other = min(total / classes - lambda_b * bias, total * (1 - 1e-15))  # u
        return logit(other), -logit(total - other)

    def excess(bias: float) -> float:  # rises with b
        z_j, z_k = logits(bias)
        return bias - ((classes - 1) * z_j + z_k) / classes

    bias, shared = 0.0, 0.0
    if lambda_b and classes > 2 and excess(-c / lambda_b) > 0:
        bias = -c / lambda_b
        z_j, z_k = logits(bias)
        shared = (classes - 1) * z_j + z_k - classes * bias  # m, below zero
    else:
        if classes > 2:
            lower = -c / lambda_b if lambda_b else -1e3
            bias = brentq(excess, lower, 0.0, xtol=1e-14, rtol=1e-14)
        z_j, z_k = logits(bias)
    margin = z_k - z_j if total < 1 else 0.0
    value = (
        np.logaddexp(0, -z_k)
        + (classes - 1) * np.logaddexp(0, z_j)
        + c * ((classes - 1) * margin - shared)
        + lambda_b * classes * bias**2 / 2
    )
    return GlobalMinimiser(margin, float(value), bias, -shared)


MINIMISERS = {
    "bce": _bce_minimiser,
    "cross_entropy": _cross_entropy_minimiser,
    "label_smoothing": _cross_entropy_minimiser,
    "focal": _focal_minimiser,
    "mse": _mse_minimiser,
}


def loss_parameters(loss: Mapping) -> dict:
    """What a closed form takes of a loss's settings: all but the name, the kind and the reduction over the batch."""
    return {key: value for key, value in loss.items() if key not in ("name", "kind", "reduction")}


def bias_boundary(kind: str, classes: int, c: float, **parameters) -> float:
    """The lambda_b beyond which the minimiser under mse or bce is no simplex ETF; infinite where none is.

    Derived here: there lambda_b |b| = c and m = 0. For MSE then z_j = 0 and s = beta - c K/(2 kappa), so b = s/K; for
    kappa = 1 this is beta lambda_b / (2 + lambda_b) = K c / 2. For binary cross entropy sigma(z_j) = 2c and
    1 - sigma(z_k) = (K-2) c, so b = ((K-1) z_j + z_k)/K; with two classes its bias is 0 for any penalty.
    """
    return _BOUNDARIES[kind](classes, c, **parameters)


def _mse_bias_boundary(classes: int, c: float, kappa: float, beta: float, class_reduction: str = "sum") -> float:
    scale = _mse_scale(classes, class_reduction)
    margin = beta - scale * c * classes / (2 * kappa)
    return c * classes / margin if margin > 0 else math.inf


def _bce_bias_boundary(classes: int, c: float) -> float:
    if classes == 2 or classes * c >= 1:
        return math.inf
    bias = ((classes - 1) * logit(2 * c) - logit((classes - 2) * c)) / classes
    return -c / bias if bias < 0 else math.inf


_BOUNDARIES = {"mse": _mse_bias_boundary, "bce": _bce_bias_boundary}


def phi_cross_entropy(t: ArrayLike, classes: int) -> np.ndarray:
    """phi_CE(t) = log(1 + (K-1) exp(t/(K-1))), Eq. (8)."""
    return np.logaddexp(0.0, math.log(classes - 1) + np.asarray(t) / (classes - 1))


def phi_label_smoothing(t: ArrayLike, classes: int, smoothing: float) -> np.ndarray:
    """phi_LS(t) = phi_CE(t) - (alpha/K) t; derived here by putting equal other logits into Eq. (5)."""
    return phi_cross_entropy(t, classes) - smoothing / classes * np.asarray(t)


def phi_focal(t: ArrayLike, classes: int, gamma: float) -> np.ndarray:
    """phi_FL(t) = -(1-p)^gamma log p; derived here by putting equal other logits into Eq. (4)."""
    negative_log_p = phi_cross_entropy(t, classes)
    return (-np.expm1(-negative_log_p)) ** gamma * negative_log_p


def phi_mse(t: ArrayLike, classes: int, kappa: float, beta: float, class_reduction: str = "sum") -> np.ndarray:
    """The largest lower bound of MSE that depends on t alone: kappa (K-1)/(kappa + K-1) (beta - s)^2, s = -t/(K-1).

    Derived here: for a given s, Eq. (6) is least where the other logits are equal and, unlike the other losses, at
    one common shift of the logits only, z_j = kappa (beta - s)/(kappa + K-1).
    """
    margin = -np.asarray(t) / (classes - 1)
    phi = kappa * (classes - 1) / (kappa + classes - 1) * (beta - margin) ** 2
    return phi / _mse_scale(classes, class_reduction)


PHI = {
    "cross_entropy": phi_cross_entropy,
    "label_smoothing": phi_label_smoothing,
    "focal": phi_focal,
    "mse": phi_mse,
}


def focal_convexity_threshold(gamma: float) -> float:
    """The p at and above which the focal loss is convex in the logits, whatever K; 0 for gamma = 0.

    Derived here: write the loss as F(log p). Its Hessian is F'' v v^T - F' (diag(q) - q q^T), with q the softmax
    probabilities and v = e_k - q. Since v^T (diag(q) - q q^T)^+ v = (1-p)/p and F' < 0, it is positive semidefinite
    if and only if F'' (1-p)/p - F' >= 0, which for the focal loss reads
    (2 gamma + 1)(1-p) + gamma log(p) (1 - (1+gamma) p) >= 0. The left side is concave in p, negative near 0, and falls
    to zero at 1; so it changes sign once.

    Args:
        gamma: at least 0.
    """
    if not 0 <= gamma < math.inf:
        raise InputError(f"gamma is {gamma}; allowed: 0 and positive numbers")
    if gamma == 0:
        return 0.0

    def excess(log_p: float) -> float:
        return -(2 * gamma + 1) * math.expm1(log_p) + gamma * log_p * (1 - (1 + gamma) * math.exp(log_p))

    # At log p = -(2 gamma + 1)/gamma the left side is (2 gamma + 1) gamma p > 0: beyond the root, by nothing that
    # float64 can tell if gamma is small.
    upper = -(2 * gamma + 1) / gamma
    if excess(upper) <= 0:
        return math.exp(upper)
    lower = 2 * upper
    while excess(lower) > 0:
        lower *= 2
    return math.exp(brentq(excess, lower, upper, xtol=1e-14, rtol=1e-14))


def _focal_pull(margin: float, classes: int, gamma: float) -> float:
    """-psi'(s), with 1 - p computed without cancellation."""
    odds = (classes - 1) * math.exp(-margin)
    p, not_p = 1 / (1 + odds), odds / (1 + odds)
    return not_p**gamma * (not_p - gamma * float(xlogy(p, p)))


def _focal_peak(classes: int, gamma: float) -> float:
    """The margin s >= 0 at which -psi' is largest: where p is at the convexity threshold, or 0 if it is above it."""
    threshold = focal_convexity_threshold(gamma)
    return math.log((classes - 1) * threshold / (1 - threshold)) if threshold > 1 / classes else 0.0


def _from_margin(phi, margin: float, classes: int, c: float, **parameters) -> GlobalMinimiser:
    t = -(classes - 1) * margin
    return GlobalMinimiser(margin, float(phi(t, classes, **parameters)) + c * abs(t))


def _mse_scale(classes: int, class_reduction: str) -> int:
    if class_reduction not in ("sum", "mean"):
        raise InputError(f"class_reduction is {class_reduction!r}; allowed: sum, mean")
    return classes if class_reduction == "mean" else 1
