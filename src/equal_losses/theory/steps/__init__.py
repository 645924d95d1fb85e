"""The steps of the theory, one file per table.

A step is a function of its file's name, from the settings of a case (see `study.theory`) to the rows of its table:
plain numbers and text, None where a number would be meaningless. `loss` in the settings is a mapping of name, kind and
the loss's own parameters; `strength` and `penalty_ratio` stand for lambda_W and lambda_H.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping


def load(table: str) -> Callable[[Mapping], list[dict]]:
    """The step that computes a table."""
    return getattr(importlib.import_module(f"{__name__}.{table}"), table)
