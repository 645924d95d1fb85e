"""Tables of an experiment, and what follows from them: one file per table that is made from other tables.

The public function of such a file has the file's name and returns the table. Its parameters name the tables that it is
made from, its keyword-only parameters are keys of the section `evidence` of the study, and the first paragraph of its
docstring is its caption. Nothing here imports PyTorch.
"""

import importlib
from collections.abc import Callable


def load(kind: str) -> Callable:
    """The function that makes the table called `kind`."""
    return getattr(importlib.import_module(f"{__name__}.{kind}"), kind)
