from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor

from equal_losses.losses._margins import with_true
from equal_losses.losses._reduction import checked


def cosface(
    logits: Tensor,
    labels: Tensor,
    scale: float,
    *,
    margin: Annotated[float, Ge(0)] = 0.35,
    reduction: str = "mean",
) -> Tensor:
    """CosFace, cross entropy of sigma cos(theta_j), for the true class sigma (cos(theta_k) - m) (Wang et al. 2018).

    Args:
        scale: sigma, of the head.
        margin: m, at least 0; 0.35 by default, as there. At 0 it is NormFace.
    """
    adjusted = with_true(logits, labels, lambda true: true - scale * margin)
    return F.cross_entropy(adjusted, labels, reduction=checked(reduction))
