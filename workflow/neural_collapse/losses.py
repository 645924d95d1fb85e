"""Classification losses of logits, as the paper defines them (Section 2.1).

A loss is a function `loss(logits, labels, *, ..., reduction)`:

- `logits`: N x K, floating point; `labels`: N, int64, in 0..K-1;
- its own parameters are keywords, each a number or a string, and become the keys of a loss in the configuration;
- `reduction` is "mean" or "sum", over the batch.

The name of the function is the `kind` of the configuration: a new loss is one function here and one line there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor, *, reduction: str = "mean") -> Tensor:
    """Cross entropy, Eq. (3): -log p, with p the softmax probability of the true class."""
    return F.cross_entropy(logits, labels, reduction=_checked(reduction))


def label_smoothing(logits: Tensor, labels: Tensor, *, smoothing: float, reduction: str = "mean") -> Tensor:
    """Label smoothing, Eq. (5): cross entropy against (1 - alpha) y_k + alpha/K 1, with alpha = `smoothing`."""
    return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction=_checked(reduction))


def focal(logits: Tensor, labels: Tensor, *, gamma: float, reduction: str = "mean") -> Tensor:
    """Focal loss, Eq. (4): -(1 - p)^gamma log p, with p the softmax probability of the true class.

    log(1 - p) is the log-sum-exp of the other classes' log-probabilities, so that neither the value nor the
    gradient suffers where p rounds to 1 and gamma < 1.
    """
    log_probabilities = F.log_softmax(logits, dim=1)
    labels = labels.unsqueeze(1)
    log_p = log_probabilities.gather(1, labels).squeeze(1)
    log_not_p = log_probabilities.scatter(1, labels, -torch.inf).logsumexp(dim=1)
    return _reduce(-torch.exp(gamma * log_not_p) * log_p, reduction)


def mse(
    logits: Tensor,
    labels: Tensor,
    *,
    kappa: float,
    beta: float,
    class_reduction: str = "sum",
    reduction: str = "mean",
) -> Tensor:
    """Rescaled mean square error, Eq. (6): kappa (z_k - beta)^2 + sum over the other classes of z_l^2.

    `class_reduction="mean"` divides by the number of classes, as the authors' released code does.
    """
    if class_reduction not in ("sum", "mean"):
        raise ValueError(f"class_reduction is {class_reduction!r}; allowed: sum, mean")
    labels = labels.unsqueeze(1)
    others = logits.scatter(1, labels, 0.0).square()
    true = kappa * (logits.gather(1, labels).squeeze(1) - beta).square()
    total = others.sum(dim=1) + true
    if class_reduction == "mean":
        total = total / logits.shape[1]
    return _reduce(total, reduction)


def _reduce(per_sample: Tensor, reduction: str) -> Tensor:
    return per_sample.mean() if _checked(reduction) == "mean" else per_sample.sum()


def _checked(reduction: str) -> str:
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction is {reduction!r}; allowed: mean, sum")
    return reduction
