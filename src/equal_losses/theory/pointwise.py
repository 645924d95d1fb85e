"""What the loss of one sample says of the global minimisers of Eq. (7), at one c.

Derived here, after the proof of Theorem 1. Let Y be the K x N one-hot labels and Q = (I - 11^T/K) Y / sqrt(n), whose
spectral norm is 1. The penalties of W and H are at least sqrt(lambda_W lambda_H) ||W H||_*, and the nuclear norm is at
least -<Q, W H> = (1/(K sqrt(n))) sum_i t(W h_i). In the sum of t over balanced classes the bias drops out, so

    f(W, H, b)  >=  mean_i [loss(z_i) - c t(z_i)] + lambda_b/2 ||b||^2.

If loss(z) - c t(z), a problem in K dimensions, has no minimisers but those with all other logits equal and one margin
s* >= 0, every global minimiser of Eq. (7) is neural collapse with this margin, for any lambda_b if the loss ignores a
common shift of the logits, and otherwise for lambda_b = 0. Without a bias each column of Q may change its sign, so that
c |t| serves in place of -c t: a bounded loss, of which loss - c t has no minimum, is decided there alone.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import OptimizeResult, minimize

from equal_losses.theory.reduced import LOGIT_SCALES, ROUNDING, Loss, ReducedLoss

STARTS = 20  # random logits from which lower ones are sought
SMALLEST_MARGIN = 1e-6  # a positive s* below it is an artefact, such as that of a norm that a loss bounds from below


class Bound(NamedTuple):
    """Attributes:
    margin: s*, in logit units; None where psi has no minimiser.
    with_bias: whether no logits were found at which loss - c t is lower, nor others as low.
    without_bias: the same of loss + c |t|.
    counterexample: what was found instead, in words; None where both hold.
    """

    margin: float | None
    with_bias: bool
    without_bias: bool
    counterexample: str | None


def bound(reduced: ReducedLoss, c: float, seed: int = 0) -> Bound:
    """Whether the lemma above decides that the global minimisers at c are neural collapse, as far as was tried.

    The logits are sought with L-BFGS from random starts; a loss with kinks may stop it short, which finds less.

    Raises:
        InputError: for a c that is not positive or too small for float64.
    """
    slope = (reduced.classes - 1) * c
    if 0 < slope <= reduced.largest_slope_without_minimiser:
        return Bound(None, False, False, f"phi(t) + c |t| has no minimiser at c = {c:.6g}")
    margin = reduced.optimal_margin(c)
    value = reduced(np.array([margin]))[0][0] + slope * margin
    if 0 < margin < SMALLEST_MARGIN:
        return Bound(margin, False, False, f"the infimum is at W H = 0 and not attained: s* = {margin:.3g}")
    free = _lower(reduced, slope, margin, value, (-np.inf, np.inf), "loss - c t", seed)
    # The same with |t|: at s >= 0 nothing has changed, and at s <= 0 its weight has the other sign.
    halves = () if free is None else (((0, np.inf), slope), ((-np.inf, 0), -slope))
    found = (_lower(reduced, weight, margin, value, half, "loss + c |t|", seed) for half, weight in halves)
    without_bias = next(filter(None, found), None)
    return Bound(margin, free is None, without_bias is None, without_bias or free)


def _lower(
    reduced: ReducedLoss, slope: float, margin: float, value: float, bounds: tuple, what: str, seed: int
) -> str | None:
    """Logits at which the objective is below its value at the margin s*, or as low with other margins, in words."""
    generator = np.random.default_rng(seed)
    for index, scale in enumerate(np.resize(LOGIT_SCALES, STARTS)):
        label = index % reduced.classes
        start = scale * generator.standard_normal(reduced.classes)
        start[0] = np.clip(start[0], *bounds)
        limits = [bounds] + [(None, None)] * (reduced.classes - 1)
        with np.errstate(all="ignore"):
            result = minimize(
                _objective, start, (reduced.loss, label, slope), jac=True, method="L-BFGS-B", bounds=limits,
                options={"ftol": 0.0, "gtol": 1e-12, "maxiter": 500}, callback=partial(_enough, value - 1.5),
            )  # fmt: skip
        s, others = result.x[0], result.x[1:]
        excess = result.fun - value
        rounding = ROUNDING * (1 + abs(value))
        elsewhere = excess <= rounding and (others.std() > 0.1 or abs(s - margin) > 0.1)
        if excess < -1:
            return f"{what} falls from {value:.6g}, where all margins are {margin:.6g}, to {value - 1:.6g} and below"
        if excess < -rounding or elsewhere:
            logits = np.insert(others, label, others.mean() + s)
            words = ", ".join(f"{logit:.4g}" for logit in logits[:10]) + (", ..." if len(logits) > 10 else "")
            return (
                f"{what} is {result.fun:.6g} at label {label}, logits [{words}]; {value:.6g} where all margins are "
                f"{margin:.6g}"
            )
    return None


def _enough(low: float, intermediate_result: OptimizeResult) -> None:
    """Stop where the objective is far below what it should be: it may have no minimum."""
    if intermediate_result.fun < low:
        raise StopIteration


def _objective(x: np.ndarray, loss: Loss, label: int, slope: float) -> tuple[float, np.ndarray]:
    """loss + slope s and its gradient in x: s, the true logit less the mean of the others, and these K - 1."""
    s, others = x[:1], x[1:]
    logits = torch.from_numpy(np.insert(others, label, others.mean() + s)[None]).requires_grad_()
    value = loss(logits, torch.tensor([label]))
    (gradient,) = torch.autograd.grad(value, logits)
    along = gradient[0].numpy()
    gradient_of_others = np.delete(along, label) + along[label] / len(others)
    return value.item() + slope * s[0], np.concatenate([[along[label] + slope], gradient_of_others])
