import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from equal_losses.schedules._warmup import warmed_up


def steps(
    epoch: int,
    epochs: int,
    *,
    at: tuple[Annotated[float, Gt(0), Lt(1)] | Fraction, ...] = ("3/7", "5/7"),
    factor: Annotated[float, Gt(0), Le(1)] = 0.1,
    shift: Annotated[int, Le(0)] = 0,
    warmup: Annotated[int, Ge(0)] = 0,
) -> float:
    """`factor` to the power of the decays so far, after a linear rise over the first `warmup` epochs.

    The paper decays at 3/7 and 5/7 of the training (Section 4).

    Args:
        at: shares of the budget after which the rate decays, rounded down to whole epochs; text such as "3/7" is exact.
        shift: epochs by which each decay moves; -1 is the released code's schedule.
    """
    decays = sum(epoch >= end for end in decay_epochs(epochs, at, shift))
    return warmed_up(epoch, warmup) * factor**decays


def decay_epochs(epochs: int, at: Sequence[float | str], shift: int) -> list[int]:
    """Epochs completed before each decay."""
    return [max(0, math.floor(Fraction(str(share)) * epochs) + shift) for share in at]


def first_decay(epochs: int, *, at: Sequence[float | str], shift: int, **_: object) -> int:
    """Epochs completed before the first decay; all of them where nothing decays."""
    return min(decay_epochs(epochs, at, shift), default=epochs)
