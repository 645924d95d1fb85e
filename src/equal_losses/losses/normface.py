import torch.nn.functional as F
from torch import Tensor

from equal_losses.losses._reduction import checked


def normface(logits: Tensor, labels: Tensor, scale: float, *, reduction: str = "mean") -> Tensor:
    """NormFace, cross entropy of the logits sigma cos(theta_j), with sigma = `scale` of the head (Wang et al. 2017).

    The head has multiplied by the scale already; to ask for it is to ask for such a head.
    """
    return F.cross_entropy(logits, labels, reduction=checked(reduction))
