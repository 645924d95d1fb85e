import math
from typing import Annotated

from annotated_types import Ge

from equal_losses.schedules._warmup import warmed_up


def cosine(epoch: int, epochs: int, *, warmup: Annotated[int, Ge(0)] = 0) -> float:
    """Half a period of the cosine, from 1 towards 0 (Loshchilov, Hutter 2017), after a rise over `warmup` epochs."""
    if epoch < warmup:
        return warmed_up(epoch, warmup)
    return (1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup))) / 2


def first_decay(epochs: int, *, warmup: int) -> int:
    """Epochs of the rise, which every budget has in common."""
    return min(epochs, warmup)
