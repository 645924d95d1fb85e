"""What a misspelt target may have meant."""

import difflib
import re
from collections.abc import Iterable

_UNKNOWN = re.compile(r"(?:No rule to produce|There is no rule named)\s+(\S+)|(\S+): no result of this study")


def suggestion(message: str, targets: Iterable[str]) -> str | None:
    """The target that is closest to the one that Snakemake's message says cannot be made, if one is close."""
    unknown = _UNKNOWN.search(message)
    if unknown is None:
        return None
    word = (unknown[1] or unknown[2]).rstrip(".")
    return next(iter(difflib.get_close_matches(word, [*targets], n=1)), None)
