from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor

from equal_losses.losses._reduction import reduced


def center(
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    *,
    penalty: Annotated[float, Ge(0)] = 0.003,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy plus (lambda/2) ||h - h_k||^2, with h_k the mean of the batch's features of the class.

    Wen et al. (2016) take a running mean for h_k.

    Args:
        penalty: lambda, at least 0; 0.003 by default, as there. At 0 it is cross entropy.
    """
    members = F.one_hot(labels, logits.shape[1]).to(features.dtype)
    means = (members.T @ features) / members.sum(dim=0).clamp_min(1).unsqueeze(1)
    distances = (features - members @ means).square().sum(dim=1)
    return reduced(F.cross_entropy(logits, labels, reduction="none") + penalty / 2 * distances, reduction)
