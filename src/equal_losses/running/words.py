"""Numbers in sentences."""


def count(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is one: "1 seed", "1,200 epochs"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
