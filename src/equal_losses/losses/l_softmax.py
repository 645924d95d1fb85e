from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor

from equal_losses.losses._angles import multiplied
from equal_losses.losses._margins import with_true
from equal_losses.losses._reduction import checked


def l_softmax(
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    weight: Tensor,
    *,
    margin: Annotated[int, Ge(1)] = 2,
    reduction: str = "mean",
) -> Tensor:
    """L-Softmax, cross entropy with ||w_k|| ||h|| psi_m(theta) in place of <w_k, h>, k the true class (Liu et al.
    2016).

    theta is the angle between h and w_k, and psi_m = (-1)^i cos(m theta) - 2i on [i pi/m, (i+1) pi/m]. A bias stays as
    it is. The authors begin with cross entropy and pass over to this by degrees; from a random start it can end with
    features of zero, where the loss is log K.

    Args:
        margin: m, a whole number, at least 1; 2 by default. At 1 it is cross entropy.
    """
    lengths = (features.norm(dim=1, keepdim=True) * weight.norm(dim=1)).gather(1, labels.unsqueeze(1))
    cosines = (features @ weight.T).gather(1, labels.unsqueeze(1)) / lengths.clamp_min(1e-8)
    adjusted = with_true(logits, labels, lambda true: true - lengths * (cosines - multiplied(cosines, margin)))
    return F.cross_entropy(adjusted, labels, reduction=checked(reduction))
