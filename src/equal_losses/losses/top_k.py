from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from equal_losses.losses._margins import excesses
from equal_losses.losses._reduction import reduced
from equal_losses.running.errors import InputError


def top_k(logits: Tensor, labels: Tensor, *, k: Annotated[int, Ge(1)] = 2, reduction: str = "mean") -> Tensor:
    """Truncated top-k entropy, log(1 + sum of exp(z_j - z_y)), y the true class (Lapin, Hein, Schiele 2016).

    The sum is over the other classes but for the k - 1 with the largest logits.

    Args:
        k: a whole number from 1 to K - 1; 2 by default. At 1 it is cross entropy.

    Raises:
        InputError: where k is not below the number of classes.
    """
    classes = logits.shape[1]
    if k >= classes:
        raise InputError(f"k is {k} with {classes} classes; allowed: a whole number from 1 to {classes - 1}")
    margins = excesses(logits, labels).sort(dim=1, descending=True).values
    counted = margins[:, int(k) - 1 : classes - 1]  # the last is the true class
    return reduced(torch.cat([counted.new_zeros(len(counted), 1), counted], dim=1).logsumexp(dim=1), reduction)
