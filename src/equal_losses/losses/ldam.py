from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor

from equal_losses.losses._margins import with_true
from equal_losses.losses._reduction import checked


def ldam(logits: Tensor, labels: Tensor, *, margin: Annotated[float, Ge(0)] = 1.0, reduction: str = "mean") -> Tensor:
    """Cross entropy of the logits with the true one lowered by D = `margin` (LDAM, Cao et al. 2019).

    There D depends on the number of images of a class, as its power -1/4; here it is one, as for balanced classes.

    Args:
        margin: D in logit units, at least 0; 1 by default. At 0 it is cross entropy.
    """
    return F.cross_entropy(with_true(logits, labels, lambda true: true - margin), labels, reduction=checked(reduction))
