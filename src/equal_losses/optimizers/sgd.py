from collections.abc import Iterable
from typing import Annotated

from annotated_types import Ge, Lt
from torch import nn
from torch.optim import SGD

BUFFERS = 1


def sgd(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    *,
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9,
    nesterov: bool = False,
) -> SGD:
    """v <- momentum v + g + weight_decay w, w <- w - rate v (paper, Section 4); g is the clipped gradient.

    With `nesterov`, w <- w - rate (g + weight_decay w + momentum v).
    """
    return SGD(
        parameters, lr=learning_rate, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=True
    )
