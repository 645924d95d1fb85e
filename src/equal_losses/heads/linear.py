from torch import nn

GIVES = ("weight",)


def linear(*, dimension: int, classes: int) -> nn.Linear:
    """Logits W h + b, Eq. (1)."""
    return nn.Linear(dimension, classes)
