from typing import Annotated

import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor

from equal_losses.losses._reduction import checked


def logit_norm(
    logits: Tensor, labels: Tensor, *, temperature: Annotated[float, Gt(0)] = 0.04, reduction: str = "mean"
) -> Tensor:
    """LogitNorm, cross entropy of z/(tau ||z||), with tau = `temperature` (Wei et al. 2022).

    Args:
        temperature: tau, above 0; 0.04 by default, as for CIFAR-10 there.
    """
    # A norm below 1e-7 counts as that, as in the authors' code: logits of zero have no direction.
    return F.cross_entropy(F.normalize(logits, dim=1, eps=1e-7) / temperature, labels, reduction=checked(reduction))
