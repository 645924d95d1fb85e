"""What a misspelt target may have meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_UNKNOWN = re.compile(r"(?:No rule to produce|There is no rule named)\s+(\S+)")


def suggestion(message: str, targets: Iterable[str]) -> str | None:
    """The target that is closest to the one that Snakemake's message says cannot be made, if one is close."""
    unknown = _UNKNOWN.search(message)
    if unknown is None:
        return None
    return next(iter(difflib.get_close_matches(unknown[1].rstrip("."), [*targets], n=1)), None)
