from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Lt
from torch import Tensor

from equal_losses.losses._reduction import reduced


def sce(
    logits: Tensor,
    labels: Tensor,
    *,
    alpha: Annotated[float, Ge(0)] = 0.1,
    beta: Annotated[float, Ge(0)] = 1.0,
    log_zero: Annotated[float, Lt(0)] = -4.0,
    reduction: str = "mean",
) -> Tensor:
    """Symmetric cross entropy, alpha (-log p) + beta (-A) (1 - p), with A = `log_zero` (Wang et al. 2019).

    The second term is the reverse cross entropy -sum_j p_j log y_j, in which log 0 is taken to be A. So it is alpha
    times Poly-1 with epsilon = -beta A / alpha.

    Args:
        alpha: at least 0; 0.1 by default, as for CIFAR-10 there.
        beta: at least 0; 1 by default.
        log_zero: A, below 0; -4 by default.
    """
    negative_log_p = F.cross_entropy(logits, labels, reduction="none")
    return reduced(alpha * negative_log_p + beta * log_zero * torch.expm1(-negative_log_p), reduction)
