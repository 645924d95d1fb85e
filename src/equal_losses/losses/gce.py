from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Gt, Le
from torch import Tensor

from equal_losses.losses._reduction import reduced


def gce(logits: Tensor, labels: Tensor, *, q: Annotated[float, Gt(0), Le(1)] = 0.7, reduction: str = "mean") -> Tensor:
    """Generalised cross entropy (1 - p^q)/q, with p the softmax probability of the true class (Zhang, Sabuncu 2018).

    At q = 1 it is 1 - p, half the mean absolute error of Ghosh et al. (2017); as q goes to 0 it becomes cross entropy.

    Args:
        q: above 0, at most 1; 0.7 by default, as in the paper.
    """
    log_p = -F.cross_entropy(logits, labels, reduction="none")
    return reduced(-torch.expm1(q * log_p) / q, reduction)
