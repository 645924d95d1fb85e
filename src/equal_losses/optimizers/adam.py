from collections.abc import Iterable
from typing import Annotated

from annotated_types import Ge, Gt, Lt
from torch import nn
from torch.optim import Adam

BUFFERS = 2


def adam(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    *,
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9,
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999,
    epsilon: Annotated[float, Gt(0)] = 1e-8,
) -> Adam:
    """Adam (Kingma, Ba 2015) with coupled weight decay: weight_decay w is added to the gradient, before the moments."""
    betas = (beta1, beta2)
    return Adam(parameters, lr=learning_rate, betas=betas, eps=epsilon, weight_decay=weight_decay, fused=True)
