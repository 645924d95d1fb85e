from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor

from equal_losses.losses._reduction import reduced

NEWTON_STEPS = 10  # seven reach the last digit with 1000 classes, t2 from 1.0001 to 4 and gaps to 1e4


def bi_tempered(
    logits: Tensor,
    labels: Tensor,
    *,
    t1: Annotated[float, Ge(0), Le(1)] = 0.8,
    t2: Annotated[float, Ge(1)] = 1.2,
    reduction: str = "mean",
) -> Tensor:
    """The bi-tempered logistic loss, -log_t1(p_k) - (1 - sum over all classes of p_j^(2-t1))/(2-t1) (Amid et al. 2019).

    log_t(x) = (x^(1-t) - 1)/(1 - t), and p_j = exp_t2(z_j - lambda) with lambda such that they sum to 1: a softmax with
    a heavy tail.

    Args:
        t1: from 0 to 1; 0.8 by default. Below 1 the loss is bounded.
        t2: at least 1; 1.2 by default. At t1 = t2 = 1 it is cross entropy.
    """
    log_p = F.log_softmax(logits, dim=1) if t2 == 1 else _tempered_log_softmax(logits, t2)
    log_p_true = log_p.gather(1, labels.unsqueeze(1)).squeeze(1)
    tempered = log_p_true if t1 == 1 else torch.expm1((1 - t1) * log_p_true) / (1 - t1)
    others = (torch.exp((2 - t1) * log_p).sum(dim=1) - 1) / (2 - t1)
    return reduced(others - tempered, reduction)


def _tempered_log_softmax(logits: Tensor, t: float) -> Tensor:
    """log exp_t(z - lambda), N x K.

    lambda solves log_t(sum_j exp_t(z_j - lambda)) = 0, whose left side is convex and falls in lambda. It is at least
    0 at lambda = max z, from where Newton's method rises to the solution; where all logits are equal, in one step.
    """
    logits = logits - logits.amax(dim=1, keepdim=True).detach()
    with torch.no_grad():
        normaliser = torch.zeros_like(logits[:, :1])
        for _ in range(NEWTON_STEPS):
            normaliser = _newton_step(normaliser, logits, t)
    # Two steps at the solution leave it where it is, and give it its first and second derivatives.
    for _ in range(2):
        normaliser = _newton_step(normaliser, logits, t)
    return _log_exp(logits - normaliser, t)


def _newton_step(normaliser: Tensor, logits: Tensor, t: float) -> Tensor:
    log_p = _log_exp(logits - normaliser, t)
    log_total = log_p.logsumexp(dim=1, keepdim=True)
    # The derivative of exp_t is its power t.
    slope = torch.exp((t * log_p).logsumexp(dim=1, keepdim=True) - t * log_total)
    return normaliser + torch.expm1((1 - t) * log_total) / (1 - t) / slope


def _log_exp(x: Tensor, t: float) -> Tensor:
    """log exp_t(x) = log(1 + (1-t) x)/(1-t), of x up to 0."""
    return torch.log1p((1 - t) * x) / (1 - t)
