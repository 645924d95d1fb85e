import torch.nn.functional as F
from torch import Tensor

from equal_losses.losses._reduction import checked


def cross_entropy(logits: Tensor, labels: Tensor, *, reduction: str = "mean") -> Tensor:
    """Cross entropy, Eq. (3): -log p, with p the softmax probability of the true class."""
    return F.cross_entropy(logits, labels, reduction=checked(reduction))
