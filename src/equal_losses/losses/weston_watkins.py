from typing import Annotated

from annotated_types import Gt
from torch import Tensor

from equal_losses.losses._margins import excesses
from equal_losses.losses._reduction import reduced


def weston_watkins(
    logits: Tensor, labels: Tensor, *, margin: Annotated[float, Gt(0)] = 1.0, reduction: str = "mean"
) -> Tensor:
    """Multiclass hinge, the sum over the other classes of max(0, m + z_j - z_k), m = `margin` (Weston, Watkins 1999).

    Args:
        margin: m in logit units, above 0; 1 by default.
    """
    return reduced((excesses(logits, labels) + margin).relu().sum(dim=1), reduction)
