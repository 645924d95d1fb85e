"""How a loss is reduced over the batch."""

from __future__ import annotations

from torch import Tensor


def reduced(per_sample: Tensor, reduction: str) -> Tensor:
    """Mean or sum of N losses.

    Raises:
        ValueError: where `reduction` is neither "mean" nor "sum".
    """
    return per_sample.mean() if checked(reduction) == "mean" else per_sample.sum()


def checked(reduction: str) -> str:
    """`reduction` itself, or ValueError; for losses that PyTorch reduces, which also knows "none"."""
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction is {reduction!r}; allowed: mean, sum")
    return reduction
