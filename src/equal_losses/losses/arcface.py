from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge, Lt
from torch import Tensor

from equal_losses.losses._angles import added
from equal_losses.losses._margins import with_true
from equal_losses.losses._reduction import checked


def arcface(
    logits: Tensor,
    labels: Tensor,
    scale: float,
    *,
    margin: Annotated[float, Ge(0), Lt(1.5707963)] = 0.5,
    reduction: str = "mean",
) -> Tensor:
    """ArcFace, cross entropy of sigma cos(theta_j), with sigma cos(theta_k + m) for the true class (Deng et al. 2019).

    For every theta_k from 0 to pi: the authors' code goes on otherwise beyond pi - m.

    Args:
        scale: sigma, of the head.
        margin: m in radians, at least 0 and below pi/2; 0.5 by default, as there. At 0 it is NormFace.
    """
    adjusted = with_true(logits, labels, lambda true: scale * added(true / scale, margin))
    return F.cross_entropy(adjusted, labels, reduction=checked(reduction))
