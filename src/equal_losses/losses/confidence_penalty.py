from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor

from equal_losses.losses._reduction import reduced


def confidence_penalty(
    logits: Tensor, labels: Tensor, *, beta: Annotated[float, Ge(0)] = 0.1, reduction: str = "mean"
) -> Tensor:
    """Cross entropy minus beta H(p), with H the entropy of the softmax probabilities (Pereyra et al. 2017).

    Args:
        beta: at least 0; 0.1 by default. At 0 it is cross entropy.
    """
    log_probabilities = F.log_softmax(logits, dim=1)
    log_p = log_probabilities.gather(1, labels.unsqueeze(1)).squeeze(1)
    negative_entropy = (log_probabilities.exp() * log_probabilities).sum(dim=1)
    return reduced(beta * negative_entropy - log_p, reduction)
