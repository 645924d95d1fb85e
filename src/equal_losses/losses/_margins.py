from __future__ import annotations

import torch
from torch import Tensor


def lowered(logits: Tensor, labels: Tensor, by: Tensor | float) -> Tensor:
    """N x K logits with the true ones lowered by a number, or by N x 1 of them."""
    labels = labels.unsqueeze(1)
    return logits.scatter(1, labels, logits.gather(1, labels) - by)


def excesses(logits: Tensor, labels: Tensor) -> Tensor:
    """z_j - z_k, N x K, and minus infinity for the true class k itself."""
    labels = labels.unsqueeze(1)
    return (logits - logits.gather(1, labels)).scatter(1, labels, -torch.inf)
