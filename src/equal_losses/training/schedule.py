"""The learning rate as a function of the epoch, apart from everything that trains.

`training` follows it and `study` cuts shared stems by it.
"""

import math
from collections.abc import Mapping
from fractions import Fraction


def decay_epochs(epochs: int, training: Mapping) -> list[int]:
    """Epochs completed before each decay: the shares `decay_at` of the budget, rounded down, plus `decay_shift`.

    The paper decays at 3/7 and 5/7 of the training (Section 4). A share is exact where it is written as a fraction.
    """
    shares = (Fraction(str(share)) for share in training["decay_at"])
    return [max(0, math.floor(share * epochs) + training["decay_shift"]) for share in shares]


def first_decay(epochs: int, training: Mapping) -> int:
    """Epochs completed before the first decay; all of them where nothing decays."""
    return min(decay_epochs(epochs, training), default=epochs)


def learning_rate(epoch: int, epochs: int, training: Mapping) -> float:
    """Learning rate of the epoch that follows `epoch` completed ones."""
    decays = sum(epoch >= end for end in decay_epochs(epochs, training))
    return training["learning_rate"] * training["decay_factor"] ** decays
