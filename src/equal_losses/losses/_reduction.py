from torch import Tensor


def reduced(per_sample: Tensor, reduction: str) -> Tensor:
    """Mean or sum of N losses."""
    return per_sample.mean() if checked(reduction) == "mean" else per_sample.sum()


def checked(reduction: str) -> str:
    """`reduction` itself, or ValueError where it is neither "mean" nor "sum"; PyTorch's own losses know "none" too."""
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction is {reduction!r}; allowed: mean, sum")
    return reduction
