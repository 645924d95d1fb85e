from typing import Annotated

import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor

from equal_losses.losses._reduction import checked


def temperature(
    logits: Tensor, labels: Tensor, *, temperature: Annotated[float, Gt(0)] = 2.0, reduction: str = "mean"
) -> Tensor:
    """Cross entropy of the logits divided by T = `temperature` (Hinton et al. 2015).

    Args:
        temperature: above 0; 2 by default. At 1 it is cross entropy.
    """
    return F.cross_entropy(logits / temperature, labels, reduction=checked(reduction))
