"""Classification losses of logits, as the paper defines them (Section 2.1): one file per kind.

A loss is a function `loss(logits, labels, *, ..., reduction)`:

- `logits`: N x K, floating point; `labels`: N, int64, in 0..K-1;
- its own parameters are keywords, which become the keys of a loss in the configuration. Their annotations say what is
  allowed there: `Annotated[float, Gt(0), Le(1)]`, with the bounds of the package annotated_types, or
  `Literal["sum", "mean"]`;
- `reduction` is "mean" or "sum", over the batch; the loss is a scalar.

A new loss is one file here, whose function has the file's name, and that name as `kind` in the configuration.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial


def load(kind: str) -> Callable:
    """The loss of a kind."""
    return getattr(importlib.import_module(f"{__name__}.{kind}"), kind)


def build(options: Mapping) -> Callable:
    """A loss with its parameters; `name`, which the study gives a loss, is passed over."""
    return partial(load(options["kind"]), **{key: options[key] for key in options if key not in ("kind", "name")})
