"""What commands print."""

import json
import math
from collections.abc import Mapping


def print_json(values: Mapping[str, object]) -> None:
    """Print a flat mapping as JSON, with null for the numbers that JSON does not have (infinite, not a number)."""
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values.items()
    }
    print(json.dumps(finite, indent=2))
