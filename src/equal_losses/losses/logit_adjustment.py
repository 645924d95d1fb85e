from typing import Annotated

import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor

from equal_losses.losses._reduction import checked
from equal_losses.running.errors import InputError


def logit_adjustment(
    logits: Tensor,
    labels: Tensor,
    *,
    tau: float = 1.0,
    prior: tuple[Annotated[float, Gt(0)], ...] | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy of the logits z + tau log pi, with pi the shares of the classes (Menon et al. 2021).

    Args:
        tau: any number; 1 by default.
        prior: pi, K numbers above 0, up to a factor, so that the numbers of images do as well; None, the default, for
            classes of one size, where it is cross entropy.

    Raises:
        InputError: where there are not as many shares as classes.
    """
    if prior is not None:
        if len(prior) != logits.shape[1]:
            raise InputError(f"prior has {len(prior)} numbers; expected one for each of the {logits.shape[1]} classes")
        logits = logits + tau * logits.new_tensor(prior).log()
    return F.cross_entropy(logits, labels, reduction=checked(reduction))
