def warmed_up(epoch: int, warmup: int) -> float:
    """Share of the rate in the epoch after `epoch` completed ones: 1/(w + 1), 2/(w + 1), ... for w epochs, then 1."""
    return min(1.0, (epoch + 1) / (warmup + 1))
