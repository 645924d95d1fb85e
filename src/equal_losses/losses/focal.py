from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor

from equal_losses.losses._reduction import reduced


def focal(
    logits: Tensor, labels: Tensor, *, gamma: Annotated[float, Ge(0), Le(100)], reduction: str = "mean"
) -> Tensor:
    """Focal loss, Eq. (4): -(1 - p)^gamma log p, with p the softmax probability of the true class.

    log(1 - p) is the log-sum-exp of the other classes' log-probabilities, so that neither the value nor the
    gradient suffers where p rounds to 1 and gamma < 1.

    Args:
        gamma: the focusing parameter, from 0 to 100; 3 in the paper. At 0 it is cross entropy.
    """
    log_probabilities = F.log_softmax(logits, dim=1)
    labels = labels.unsqueeze(1)
    log_p = log_probabilities.gather(1, labels).squeeze(1)
    log_not_p = log_probabilities.scatter(1, labels, -torch.inf).logsumexp(dim=1)
    return reduced(-torch.exp(gamma * log_not_p) * log_p, reduction)
