from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor

from equal_losses.losses._angles import multiplied
from equal_losses.losses._margins import with_true
from equal_losses.losses._reduction import checked


def sphereface(
    logits: Tensor,
    labels: Tensor,
    scale: float,
    *,
    margin: Annotated[int, Ge(1)] = 4,
    reduction: str = "mean",
) -> Tensor:
    """SphereFace, cross entropy of sigma cos(theta_j), with sigma psi_m(theta_k) for the true class (Liu et al. 2017).

    psi_m = (-1)^i cos(m theta) - 2i on [i pi/m, (i+1) pi/m]. There the features are not normalised, and their norm is
    in the place of sigma.

    Args:
        scale: sigma, of the head.
        margin: m, a whole number, at least 1; 4 by default, as there. At 1 it is NormFace.
    """
    adjusted = with_true(logits, labels, lambda true: scale * multiplied(true / scale, margin))
    return F.cross_entropy(adjusted, labels, reduction=checked(reduction))
