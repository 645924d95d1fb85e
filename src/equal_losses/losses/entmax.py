from typing import Annotated, Any

import torch
import torch.nn.functional as F
from annotated_types import Ge
from entmax import entmax15, entmax_bisect, sparsemax
from torch import Tensor

from equal_losses.losses._reduction import reduced


def entmax(logits: Tensor, labels: Tensor, *, alpha: Annotated[float, Ge(1)] = 1.5, reduction: str = "mean") -> Tensor:
    """The alpha-entmax loss, max over probabilities p of <p, z> + H(p), minus z_k (Peters, Niculae, Martins 2019).

    H(p) = sum_j (p_j - p_j^alpha)/(alpha (alpha - 1)) is the entropy of Tsallis. The maximiser, the alpha-entmax of z,
    is computed by the package entmax; the gradient is it minus the one-hot label (Blondel, Martins, Niculae 2020).

    Args:
        alpha: at least 1; 1.5 by default. At 1 it is cross entropy, at 2 the sparsemax loss (Martins, Astudillo 2016).
    """
    if alpha == 1:
        return reduced(F.cross_entropy(logits, labels, reduction="none"), reduction)
    return reduced(_FenchelYoung.apply(logits, labels, alpha), reduction)


class _FenchelYoung(torch.autograd.Function):
    """The package's own losses have second derivatives of zero; here the gradient is a function of z, too."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, alpha: float) -> Tensor:
        ctx.save_for_backward(logits, labels)
        ctx.alpha = alpha
        p = _probabilities(logits, alpha)
        entropy = (p - p**alpha).sum(dim=1) / (alpha * (alpha - 1))
        return (p * (logits - logits.gather(1, labels.unsqueeze(1)))).sum(dim=1) + entropy

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None]:
        logits, labels = ctx.saved_tensors
        p = _probabilities(logits, ctx.alpha)
        return outer.unsqueeze(1) * (p - F.one_hot(labels, logits.shape[1])), None, None


def _probabilities(logits: Tensor, alpha: float) -> Tensor:
    if alpha == 1.5:
        return entmax15(logits, dim=1)
    return sparsemax(logits, dim=1) if alpha == 2 else entmax_bisect(logits, alpha, dim=1)
