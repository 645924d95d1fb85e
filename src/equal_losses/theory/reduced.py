"""A loss as a function of its margin, derived from the loss alone.

phi of Definition 1 is not given but derived: phi(t) is the loss where all other logits are equal, at the best common
shift of all logits. CE, LS and FL ignore a shift, so there the other logits may be zero. The variable is the margin
s = -t / (K-1) = z_k - z_j, and psi(s) = phi(-(K-1) s).
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
        return each(self.loss, logits, labels), total_and_gradient(self.loss, logits, labels)[1][rows, labels]

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


def _best_shift(loss: Loss, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Per sample, the number that lowers the loss most when added to all logits; 0 for a loss that ignores it.

    The derivative along the shift is solved for its zero, sample by sample. A loss that falls forever has none, and is
    taken as far as it was followed.
    """

    def slope(shift: np.ndarray, sample: np.ndarray) -> np.ndarray:
        sample = sample.astype(np.int64)
        return total_and_gradient(loss, logits[sample] + shift[:, None], labels[sample])[1].sum(axis=1)

    samples, none = np.arange(len(logits)), np.zeros(len(logits))
    if np.abs(slope(none, samples)).max() < 1e-9:
        return none
    bracket = elementwise.bracket_root(slope, none - 1, none + 1, args=(samples,), maxiter=20)
    low, high = bracket.bracket
    root = elementwise.find_root(slope, (low, high), args=(samples,)).x
    # Not a number where the sign does not change in between: at a zero that is an end, or with no zero at all.
    return np.where(np.isfinite(root), root, np.where(bracket.f_bracket[1] <= 0, high, low))


def each(loss: Loss, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The loss of each sample: a loss returns a mean only, so each batch holds one sample."""
    samples = torch.from_numpy(logits)[:, None], torch.from_numpy(labels)[:, None]
    with torch.no_grad():
        try:
            return torch.func.vmap(loss)(*samples).numpy()
        except RuntimeError:  # what it does depends on values
            return torch.stack([*map(loss, *samples)]).numpy()


def total_and_gradient(loss: Loss, logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
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
