"""Definition 1, the contrastive property, tried on any loss.

Definition 1 requires a function phi with loss(z, y_k) >= phi(t), t = sum_{j != k} (z_j - z_k), where equality holds
only if all logits but the true one are equal (Eq. 9), and a unique t* = argmin phi(t) + c |t|, not positive, for
every c > 0 (Eq. 10).

phi is not given but derived from the loss: phi(t) is the loss where all other logits are equal, at the best common
shift of all logits. CE, LS and FL ignore a shift, so there the other logits may be zero. MSE does not: with this phi
it satisfies the letter of Definition 1, but has equality at one shift only. The proof of Theorem 1 takes equality
wherever the other logits are equal, b = 0 included. So for such a loss the theorem's conclusion is safe only with
lambda_b = 0, where the bias can supply the shift; the paper leaves MSE out.

Everything here is a finite number of trials in float64: they can refute, and otherwise they say what was tried.
The variable is the margin s = -t / (K-1) = z_k - z_j, and psi(s) = phi(-(K-1) s).
"""

import math
from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import brentq, elementwise

from equal_losses.running.errors import InputError

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

SMALLEST_SLOPE = 1e-6  # smallest (K-1) c that is tried; below it, float64 no longer resolves the curvature of phi_CE
STEP = 0.01  # of the grid of margins, in logit units
LARGEST_MARGIN = 400.0  # beyond which a minimiser is no longer sought
LOGIT_SCALES = (0.1, 1.0, 3.0, 10.0, 30.0)
ROUNDING = 1e-10  # relative to 1 + |loss|; a smaller violation is rounding


class Tie(NamedTuple):
    """One c, the weight of |t|, for which phi(t) + c |t| is least at two places (and possibly everywhere between).

    The places are two margins s = -t / (K-1), in logit units, increasing.
    """

    c: float
    margins: tuple[float, float]


class ReducedLoss:
    """psi(s) = phi(-(K-1) s): a loss as a function of its margin, and what Eq. (10) requires of it.

    Args:
        loss: callable of N x K logits and N labels, the mean over the batch.
        classes: K, at least 2.
    """

    def __init__(self, loss: Loss, classes: int):
        if classes < 2:
            raise InputError(f"classes is {classes}; allowed: at least 2")
        self.loss = loss
        self.classes = classes

    def __call__(self, margins: np.ndarray, labels: np.ndarray | int = 0) -> tuple[np.ndarray, np.ndarray]:
        """psi and its derivative at M margins, with the given true classes; two arrays of M float64.

        The derivative is that of the loss with respect to the true logit, since at the best shift the shift does
        not matter to first order.
        """
        margins = np.asarray(margins, dtype=np.float64)
        rows, labels = np.arange(len(margins)), np.broadcast_to(labels, margins.shape).astype(np.int64)
        logits = np.zeros((len(margins), self.classes))
        logits[rows, labels] = margins
        logits += _best_shift(self.loss, logits, labels)[:, None]
        return _each(self.loss, logits, labels), _total_and_gradient(self.loss, logits, labels)[1][rows, labels]

    def optimal_margin(self, c: float) -> float:
        """The s >= 0 that minimises psi(s) + (K-1) c s, so that t* = -(K-1) s wherever t* <= 0.

        Raises:
            InputError: where (K-1) c is below the smallest slope, or psi falls that fast as far as it was followed.
        """
        slope = (self.classes - 1) * c
        if not SMALLEST_SLOPE <= slope < math.inf:
            raise InputError(f"(K-1) c is {slope}; allowed: at least {SMALLEST_SLOPE}")
        margins, values, _ = self._grid
        best = int(np.argmin(values + slope * margins))
        if best == len(margins) - 1:
            raise InputError(f"c is {c}: no minimiser with a margin up to {margins[-1]}; expected a larger c")
        return self._stationary(slope, margins[max(best - 1, 0)], margins[best + 1], margins[best])

    @cached_property
    def largest_slope_without_minimiser(self) -> float:
        """The (K-1) c up to which psi(s) + (K-1) c s still falls at the last margin followed; 0 if there is none."""
        _, _, slopes = self._grid
        return max(0.0, float(-slopes[-1])) if -slopes[-1] > SMALLEST_SLOPE else 0.0

    @cached_property
    def ties(self) -> list[Tie]:
        """Every c at which the minimiser over s >= 0 is not unique, in increasing order of c.

        psi(s) + (K-1) c s is least at two places exactly if the line of slope -(K-1) c through them supports psi from
        below. So no grid of c is needed: the ties are the edges of the lower convex hull of psi that pass over points
        of the grid.
        """
        margins, values, _ = self._grid
        hull = _lower_hull(margins, values)
        ties = []
        for left, right in pairwise(hull):
            slope = (values[left] - values[right]) / (margins[right] - margins[left])
            if right - left > 2 and slope > SMALLEST_SLOPE:
                ties.append(self._refined_tie(slope, margins[left], margins[right]))
        return sorted(ties, key=lambda tie: tie.c)

    def positive_t(self, slopes: np.ndarray) -> float | None:
        """The first of the given (K-1) c for which phi(t) + c |t| is lower at some t > 0 than at all t <= 0, if any."""
        negative = -np.arange(10 * STEP, self._grid[0][-1], 10 * STEP)
        values, _ = self(negative)
        for slope in slopes:
            here = np.min(self._grid[1] + slope * self._grid[0])
            there = np.min(values - slope * negative)
            if there < here - ROUNDING * (1 + abs(here)):
                return float(slope)
        return None

    @cached_property
    def _grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Margins from 0 up to where psi no longer falls by the smallest slope, with psi and its derivative."""
        largest = 25.0
        while largest < LARGEST_MARGIN and self(np.array([largest]))[1][0] < -SMALLEST_SLOPE:
            largest *= 2
        margins = np.arange(0, largest + STEP, STEP)
        return margins, *self(margins)

    def _stationary(self, slope: float, low: float, high: float, otherwise: float) -> float:
        """Where psi' = -slope in [low, high], or `otherwise` if psi' + slope does not change sign there."""

        def excess(s: float) -> float:
            return self(np.array([s]))[1][0] + slope

        return brentq(excess, low, high, xtol=1e-13) if excess(low) < 0 < excess(high) else otherwise

    def _refined_tie(self, slope: float, left: float, right: float) -> Tie:
        for _ in range(5):  # the error of the slope is squared in each round
            left = self._stationary(slope, max(left - 2 * STEP, 0), left + 2 * STEP, left)
            right = self._stationary(slope, right - 2 * STEP, right + 2 * STEP, right)
            (value_left, value_right), _ = self(np.array([left, right]))
            slope = (value_left - value_right) / (right - left)
        return Tie(float(slope / (self.classes - 1)), (float(left), float(right)))


def check_contrastive(loss: Loss, classes: int, samples: int, seed: int = 0) -> dict[str, object]:
    """What was tried of Definition 1 on a loss, and what came of it.

    Args:
        loss: callable of N x K logits and N labels, the mean over the batch.
        classes: K, at least 2.
        samples: random logits for the inequality, normal with scales from 0.1 to 30, and for its equality cases.
        seed: of the random logits.

    Returns:
        A mapping of

        - `classes` and `samples`;
        - `violations`: the number of those of Eq. (9), beyond rounding;
        - `smallest_gap`: the least loss - phi(t) found, in units of the loss; rounding leaves it slightly below zero;
        - `unequal_ties`: the number of random logits, the other ones unequal, at which the loss equals phi(t);
        - `equality_error`: the largest |loss - phi(t)| where all other logits are equal, over random shifts and labels;
        - `class_error`: the same at the best shift: beyond rounding, no phi has equality for all classes;
        - `no_minimiser_below`: the c up to which no minimiser was found, because phi falls too fast; 0 if none;
        - `positive_t_at`: a c with t* > 0, or None;
        - `holds`: whether nothing tried contradicts Definition 1;
        - `theorem_1`: where the proof of Theorem 1 covers the loss, as far as was tried: for "any lambda_b", for
          "lambda_b = 0", either of them ", off the ties" of c, or "nowhere";
        - `counterexample`: one that refutes the definition, in words, or None;
        - `ties`, `tie_c`, `tie_margin`: the number of c at which t* is not unique; the first, and its larger margin.
    """
    reduced = ReducedLoss(loss, classes)
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=samples)
    scales = np.resize(LOGIT_SCALES, samples)[:, None]
    normal = generator.standard_normal((samples, classes))

    logits = scales * normal
    losses, gaps = _gaps(reduced, logits, labels)
    violated = gaps < -ROUNDING * (1 + np.abs(losses))

    # At scale 1 no loss saturates, so that a gap is not lost in rounding.
    losses, gaps_at_one = _gaps(reduced, normal, labels)
    others = normal[np.arange(classes) != labels[:, None]].reshape(samples, -1)
    tied = (others.std(axis=1) > 0.1) & (gaps_at_one <= 1e-6 * np.abs(losses - gaps_at_one))

    margins = generator.uniform(-5, 10, size=samples)
    equal = np.repeat(5 * generator.standard_normal((samples, 1)), classes, axis=1)
    equal[np.arange(samples), labels] += margins
    psi = reduced(margins)[0]
    equality_errors = np.abs(_each(loss, equal, labels) - psi)
    class_errors = np.abs(reduced(margins, labels)[0] - psi)
    rounding = ROUNDING * (1 + np.abs(psi))

    c_without = reduced.largest_slope_without_minimiser / (classes - 1)
    positive = reduced.positive_t(np.geomspace(SMALLEST_SLOPE, 10.0, 60))
    theorem_1 = "nowhere"
    counterexample = None
    if violated.any():
        worst = int(np.argmin(gaps))
        counterexample = f"loss < phi(t) by {-gaps[worst]:.3g} at label {labels[worst]}, logits {_words(logits[worst])}"
    elif tied.any():
        first = int(np.argmax(tied))
        counterexample = f"loss = phi(t) at label {labels[first]}, unequal logits {_words(normal[first])}"
    elif (class_errors > rounding).any():
        worst = int(np.argmax(class_errors))
        counterexample = (
            f"at margin {margins[worst]:.4g}, other logits equal, label {labels[worst]} has another loss than label 0: "
            f"no phi has equality for both"
        )
    elif c_without:
        counterexample = f"phi(t) + c |t| has no minimiser for c = {c_without:.6g}, as far as the margin was followed"
    elif positive is not None:
        counterexample = f"t* > 0 for c = {positive / (classes - 1):.6g}"
    else:
        theorem_1 = "any lambda_b" if (equality_errors <= rounding).all() else "lambda_b = 0"
        if reduced.ties:
            tie = reduced.ties[0]
            both = " and ".join(f"{0.0 - (classes - 1) * margin:.6g}" for margin in tie.margins)
            counterexample = f"t* is not unique for c = {tie.c:.6g}: t = {both} tie"
            theorem_1 += ", off the ties"
    return {
        "classes": classes,
        "samples": samples,
        "violations": int(violated.sum()),
        "smallest_gap": float(gaps.min()),
        "unequal_ties": int(tied.sum()),
        "equality_error": float(equality_errors.max()),
        "class_error": float(class_errors.max()),
        "no_minimiser_below": c_without,
        "positive_t_at": None if positive is None else positive / (classes - 1),
        "holds": counterexample is None,
        "theorem_1": theorem_1,
        "counterexample": counterexample,
        "ties": len(reduced.ties),
        "tie_c": reduced.ties[0].c if reduced.ties else None,
        "tie_margin": reduced.ties[0].margins[1] if reduced.ties else None,
    }


def smallest_zero_sum_curvature(loss: Loss, logits: np.ndarray, label: int) -> float:
    """The smallest eigenvalue of the loss's Hessian in K logits, among directions whose entries sum to zero.

    Non-negative wherever a loss that ignores a common shift of the logits is convex.
    """
    labels = torch.tensor([label])
    hessian = torch.autograd.functional.hessian(
        lambda z: loss(z[None], labels), torch.from_numpy(np.asarray(logits, dtype=np.float64))
    ).numpy()
    basis = np.linalg.svd(np.ones((1, len(logits))))[2][1:]
    return float(np.linalg.eigvalsh(basis @ hessian @ basis.T)[0])


def _gaps(reduced: ReducedLoss, logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per sample, the loss and loss - phi(t)."""
    losses = _each(reduced.loss, logits, labels)
    true = logits[np.arange(len(logits)), labels]
    margins = true - (logits.sum(axis=1) - true) / (reduced.classes - 1)
    return losses, losses - reduced(margins)[0]


def _best_shift(loss: Loss, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Per sample, the number that lowers the loss most when added to all logits; 0 for a loss that ignores it.

    The derivative along the shift is solved for its zero, sample by sample. A loss that falls forever has none, and is
    taken as far as it was followed.
    """

    def slope(shift: np.ndarray, sample: np.ndarray) -> np.ndarray:
        sample = sample.astype(np.int64)
        return _total_and_gradient(loss, logits[sample] + shift[:, None], labels[sample])[1].sum(axis=1)

    samples, none = np.arange(len(logits)), np.zeros(len(logits))
    if np.abs(slope(none, samples)).max() < 1e-9:
        return none
    bracket = elementwise.bracket_root(slope, none - 1, none + 1, args=(samples,), maxiter=20)
    low, high = bracket.bracket
    root = elementwise.find_root(slope, (low, high), args=(samples,)).x
    # Not a number where the sign does not change in between: at a zero that is an end, or with no zero at all.
    return np.where(np.isfinite(root), root, np.where(bracket.f_bracket[1] <= 0, high, low))


def _each(loss: Loss, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The loss of each sample: a loss returns a mean only, so each batch holds one sample."""
    samples = torch.from_numpy(logits)[:, None], torch.from_numpy(labels)[:, None]
    with torch.no_grad():
        try:
            return torch.func.vmap(loss)(*samples).numpy()
        except RuntimeError:  # what it does depends on values
            return torch.stack([*map(loss, *samples)]).numpy()


def _total_and_gradient(loss: Loss, logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The sum of the losses of N samples and its gradient, N x K: row i is the gradient of sample i's loss."""
    tensor = torch.from_numpy(logits).requires_grad_()
    mean = loss(tensor, torch.from_numpy(labels))
    (gradient,) = torch.autograd.grad(mean, tensor)
    return len(logits) * mean.item(), len(logits) * gradient.numpy()


def _lower_hull(x: np.ndarray, y: np.ndarray) -> list[int]:
    """Indices of the lower convex hull of points sorted by x; a point within rounding of a chord is not a corner."""
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            chord = y[a] + (y[i] - y[a]) * (x[b] - x[a]) / (x[i] - x[a])
            if y[b] < chord - 1e-15 * (1 + abs(chord)):
                break
            hull.pop()
        hull.append(i)
    return hull


def _words(logits: np.ndarray) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in logits[:10]) + (", ...]" if len(logits) > 10 else "]")
