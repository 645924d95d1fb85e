import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from equal_losses.losses._reduction import reduced


def _tv(p: Tensor) -> tuple[Tensor, Tensor]:
    half = torch.tanh(p) / 2
    return half, half


def _kl(p: Tensor) -> tuple[Tensor, Tensor]:
    return p, torch.exp(p - 1)


def _pearson(p: Tensor) -> tuple[Tensor, Tensor]:
    return p, p.square() / 4 + p


def _jeffrey(p: Tensor) -> tuple[Tensor, Tensor]:
    return p, p + p.square() / 4 + p**3 / 16


def _js(p: Tensor) -> tuple[Tensor, Tensor]:
    g = math.log(2) - F.softplus(-p)
    return g, p - g


_DIVERGENCES = {"TV": _tv, "KL": _kl, "Pearson": _pearson, "Jeffrey": _jeffrey, "JS": _js}


def f_divergence(
    logits: Tensor,
    labels: Tensor,
    *,
    divergence: Literal["TV", "KL", "Pearson", "Jeffrey", "JS"] = "TV",
    reduction: str = "mean",
) -> Tensor:
    """Minus a variational f-divergence, -g(p_k) + (1/K) sum over all classes of f*(g(p_j)) (Wei, Liu 2021).

    p are the softmax probabilities. The second term is the mean over a label that is independent of the image, which
    the authors draw from the batch; here all K are equally likely. (g, f*(g)) are those of the authors' code:

        TV        tanh(p)/2                   tanh(p)/2
        KL        p                           exp(p - 1)
        Pearson   p                           p^2/4 + p
        Jeffrey   p                           p + p^2/4 + p^3/16
        JS        log 2 - log(1 + exp(-p))    p + log(1 + exp(-p)) - log 2

    Args:
        divergence: TV (total variation, the default), KL (Kullback-Leibler), Pearson, Jeffrey or JS (Jensen-Shannon).
    """
    if divergence not in _DIVERGENCES:
        raise ValueError(f"divergence is {divergence!r}; allowed: {', '.join(_DIVERGENCES)}")
    g, conjugate = _DIVERGENCES[divergence](F.softmax(logits, dim=1))
    return reduced(conjugate.mean(dim=1) - g.gather(1, labels.unsqueeze(1)).squeeze(1), reduction)
