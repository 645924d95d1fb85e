from typing import Annotated

from annotated_types import Gt
from torch import Tensor

from equal_losses.losses._margins import excesses
from equal_losses.losses._reduction import reduced


def crammer_singer(
    logits: Tensor, labels: Tensor, *, margin: Annotated[float, Gt(0)] = 1.0, reduction: str = "mean"
) -> Tensor:
    """Multiclass hinge, max(0, m + max_j z_j - z_k), with m = `margin` (Crammer, Singer 2001).

    Where other logits tie for the largest, each has an equal share of the gradient.

    Args:
        margin: m in logit units, above 0; 1 by default.
    """
    return reduced((excesses(logits, labels).amax(dim=1) + margin).relu(), reduction)
