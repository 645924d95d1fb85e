from typing import Annotated

import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor

from equal_losses.losses._reduction import reduced


def one_vs_all(
    logits: Tensor, labels: Tensor, *, margin: Annotated[float, Gt(0)] = 1.0, reduction: str = "mean"
) -> Tensor:
    """Squared hinge of K binary problems, max(0, m - z_k)^2 + sum_j max(0, m + z_j)^2, m = `margin` (Tang 2013).

    Args:
        margin: m in logit units, above 0; 1 by default.
    """
    signs = 1 - 2 * F.one_hot(labels, logits.shape[1])
    return reduced((margin + signs * logits).relu().square().sum(dim=1), reduction)
