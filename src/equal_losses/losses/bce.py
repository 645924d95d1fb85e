import torch.nn.functional as F
from torch import Tensor

from equal_losses.losses._reduction import reduced


def bce(logits: Tensor, labels: Tensor, *, reduction: str = "mean") -> Tensor:
    """Binary cross entropy of K sigmoids, summed over the classes: log(1 + exp(-z_k)) + sum_j log(1 + exp(z_j)).

    A sum, not the mean that PyTorch takes (Li et al. 2025 study it beside cross entropy).
    """
    targets = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    per_class = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return reduced(per_class.sum(dim=1), reduction)
