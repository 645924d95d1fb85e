import torch.nn.functional as F
from torch import Tensor

from equal_losses.losses._reduction import reduced


def nce(logits: Tensor, labels: Tensor, *, reduction: str = "mean") -> Tensor:
    """Normalised cross entropy, log p_k / sum over all classes of log p_j (Ma et al. 2020); between 0 and 1."""
    log_probabilities = F.log_softmax(logits, dim=1)
    log_p = log_probabilities.gather(1, labels.unsqueeze(1)).squeeze(1)
    return reduced(log_p / log_probabilities.sum(dim=1), reduction)
