"""Whether and where a loss is convex in the logits, tried in float64."""

import numpy as np
import torch

from equal_losses.theory.reduced import LOGIT_SCALES, ROUNDING, Loss, each


def is_convex(loss: Loss, classes: int, samples: int = 2000, seed: int = 0) -> bool:
    """Whether the loss is at most the mean of its values at the ends, in the middle of random segments of logits.

    A finite number of trials: it can refute convexity, and otherwise says what was tried. A loss may have kinks.
    """
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=samples)
    scales = np.resize(LOGIT_SCALES, samples)[:, None]
    middle = scales * generator.standard_normal((samples, classes))
    half = generator.permutation(scales) * generator.standard_normal((samples, classes))
    here, ends = each(loss, middle, labels), [each(loss, middle + step, labels) for step in (half, -half)]
    return bool((here <= sum(ends) / 2 + ROUNDING * (1 + np.abs(ends).max(axis=0))).all())


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
