from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor

from equal_losses.losses._reduction import checked


def label_smoothing(
    logits: Tensor, labels: Tensor, *, smoothing: Annotated[float, Ge(0), Le(1)], reduction: str = "mean"
) -> Tensor:
    """Label smoothing, Eq. (5): cross entropy against (1 - alpha) y_k + alpha/K 1, with alpha = `smoothing`.

    Args:
        smoothing: alpha, from 0 to 1; 0.1 in the paper. At 0 it is cross entropy.
    """
    return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction=checked(reduction))
