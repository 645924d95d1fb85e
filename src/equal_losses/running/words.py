"""Numbers and runs in sentences."""


def count(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is one: "1 seed", "1,200 epochs"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def run_at(loss: str, width: float, epochs: int, seed: int) -> str:
    """A run by its place in the grid: "CE width 0.5 epochs 120 seed 1"."""
    return f"{loss} width {width:g} epochs {epochs} seed {seed}"
