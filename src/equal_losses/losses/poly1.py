import torch
import torch.nn.functional as F
from torch import Tensor

from equal_losses.losses._reduction import reduced


def poly1(logits: Tensor, labels: Tensor, *, epsilon: float = 2.0, reduction: str = "mean") -> Tensor:
    """Poly-1, -log p + epsilon (1 - p), with p the softmax probability of the true class (Leng et al. 2022).

    Args:
        epsilon: any number; 2 by default, as for ImageNet there. Below -1 the loss is least at p = -1/epsilon.
    """
    negative_log_p = F.cross_entropy(logits, labels, reduction="none")
    return reduced(negative_log_p - epsilon * torch.expm1(-negative_log_p), reduction)
