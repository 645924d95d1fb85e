from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from equal_losses.losses._reduction import checked


def label_smoothing(logits: Tensor, labels: Tensor, *, smoothing: float, reduction: str = "mean") -> Tensor:
    """Label smoothing, Eq. (5): cross entropy against (1 - alpha) y_k + alpha/K 1, with alpha = `smoothing`."""
    return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction=checked(reduction))
