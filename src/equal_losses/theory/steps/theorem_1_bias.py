"""Why Definition 1 is not enough for Theorem 1 where there is a bias.

Derived here. The proof bounds the penalties of W and H by c |t(W h)|, and Definition 1 compares phi with c |t| of the
logits W h + b. Over balanced classes the bias drops out of the sum of t, not out of that of |t|: a bias that gives a
class up makes t positive there at the price of lambda_b alone, and a bounded loss lets it. What is enough with a bias
is that phi(t) - c t has its only minimiser at a t* <= 0 (see `pointwise`).
"""

import math
from collections.abc import Mapping
from functools import partial

import numpy as np
import torch

from equal_losses.losses.cross_entropy import cross_entropy
from equal_losses.losses.gce import gce
from equal_losses.losses.sce import sce
from equal_losses.theory import ufm
from equal_losses.theory.contrastive import HOLDS, check_contrastive
from equal_losses.theory.model import best_collapse, penalties
from equal_losses.theory.ufm import Point, UnconstrainedFeatureModel

BOUND = 0.05  # phi of `saturating` stays below 1 + BOUND
LOGITS = 500  # random ones that Definition 1 is tried on
BELOW = 1e-6  # a minimum below the best collapse by more than this is lower
LARGE = 1e6  # stands for an infinite lambda_b, which the model does not take
SAMPLES = 3  # n


def saturating(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """phi(z_other - z_true) for two classes: exp(t) for t <= 0, then 1 + e (1 - exp(-t/e)), e = `BOUND`.

    It has t* = log(c) for c < 1 and 0 otherwise, unique: Definition 1 holds to the letter. phi is bounded by 1 + e.
    """
    t = logits.sum(dim=1) - 2 * logits.gather(1, labels[:, None])[:, 0]
    negative = t <= 0
    # Each branch at its own sign alone, so that neither overflows.
    low, high = torch.where(negative, t, 0), torch.where(negative, 0, t)
    return torch.where(negative, low.exp(), 1 - BOUND * torch.expm1(-high / BOUND)).mean()


def theorem_1_bias(settings: Mapping) -> list[dict]:
    """The lowest minimum beside the best neural collapse: one row per loss, c and lambda_b.

    It is the lowest of those from starts that give up none of the classes, one, and so on.

    Columns: `definition_1` and `bound`, whether nothing tried contradicts Definition 1, and the condition that is
    enough with a bias; the two objectives; at the minimum `bias_spread`, the largest |b_k - mean of b|, and `size`, the
    largest entry of W and H; `collapses`, whether no minimum is lower.
    """
    rows = []
    for name, loss, classes, dim, c, penalties_of_bias in _LOSSES:
        tried = check_contrastive(loss, classes, LOGITS, c)
        for lambda_b in penalties_of_bias:
            lambda_W, lambda_H = penalties(classes, SAMPLES, classes * c, 1.0)
            model = UnconstrainedFeatureModel(loss, classes, SAMPLES, dim, lambda_W, lambda_H, min(lambda_b, LARGE))
            ends = [ufm.minimise(model, _without(model, given_up)) for given_up in range(classes)]
            lowest = min(ends, key=lambda end: model.value_and_gradient(end)[0])
            collapse, value = best_collapse(model), model.value_and_gradient(lowest)[0]
            rows.append(
                {
                    "loss": name,
                    "classes": classes,
                    "samples": SAMPLES,
                    "dim": dim,
                    "c": c,
                    "lambda_b": lambda_b,
                    "definition_1": tried["verdict"] == HOLDS,
                    "bound": tried["theorem_1"] == "any lambda_b",
                    "objective_collapse": collapse.value,
                    "objective": value,
                    "bias_spread": float(np.abs(lowest.b - lowest.b.mean()).max()),
                    "size": float(max(np.abs(lowest.W).max(), np.abs(lowest.H).max())),
                    "gradient_norm": model.gradient_norm(lowest),
                    "collapses": value >= collapse.value - BELOW,
                }
            )
    return rows


def _without(model: UnconstrainedFeatureModel, given_up: int) -> Point:
    """A point with margins of about 6 between all classes but the first ones, which the bias gives up."""
    kept = np.arange(model.classes) >= given_up
    W = 2.5 * np.eye(model.classes, model.dim) * kept[:, None]
    return Point(W, W[model.labels], np.where(kept, 0.5, -0.5) / (1 + model.lambda_b))


# Name, loss, K, d, c, and the lambda_b at which it is minimised.
_LOSSES = (
    ("cross entropy", cross_entropy, 4, 6, 0.07, (0.01,)),
    ("saturating", saturating, 2, 4, 0.5, (0.01, 0.1, math.inf)),
    ("mean absolute error", partial(gce, q=1), 4, 6, 0.07, (0.01, math.inf)),
    ("symmetric cross entropy", partial(sce, alpha=0.1, beta=1, log_zero=-4), 4, 6, 0.3, (0.01,)),
)
