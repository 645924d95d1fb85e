from collections.abc import Callable

import torch
from torch import Tensor


def with_true(logits: Tensor, labels: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """N x K logits with a function of the true ones, N x 1, in their place."""
    labels = labels.unsqueeze(1)
    return logits.scatter(1, labels, function(logits.gather(1, labels)))


def excesses(logits: Tensor, labels: Tensor) -> Tensor:
    """z_j - z_k, N x K, and minus infinity for the true class k itself."""
    labels = labels.unsqueeze(1)
    return (logits - logits.gather(1, labels)).scatter(1, labels, -torch.inf)
