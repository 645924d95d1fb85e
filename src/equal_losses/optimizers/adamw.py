from collections.abc import Iterable
from typing import Annotated

from annotated_types import Ge, Gt, Lt
from torch import nn
from torch.optim import AdamW

BUFFERS = 2


def adamw(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    *,
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9,
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999,
    epsilon: Annotated[float, Gt(0)] = 1e-8,
) -> AdamW:
    """Adam with decoupled weight decay, w <- (1 - rate weight_decay) w - rate u (Loshchilov, Hutter 2019).

    u is the step of Adam on the clipped gradient alone; the keys are those of `adam`.
    """
    betas = (beta1, beta2)
    return AdamW(parameters, lr=learning_rate, betas=betas, eps=epsilon, weight_decay=weight_decay, fused=True)
