"""Classification losses, the paper's (Section 2.1) and others: one file per kind.

A loss is a function `loss(logits, labels, *, ..., reduction)`:

- `logits`: N x K, floating point; `labels`: N, int64, in 0..K-1;
- what else it needs it asks for by the name of a parameter after these: `features` (N x d), or what a head gives (see
  `heads`), such as `weight` (K x d);
- its own parameters are keywords, which become the keys of a loss in the configuration. Their annotations say what is
  allowed there: `Annotated[float, Gt(0), Le(1)]`, with the bounds of the package annotated_types, or
  `Literal["sum", "mean"]`;
- `reduction` is "mean" or "sum", over the batch; the loss is a scalar.

A new loss is one file here, whose function has the file's name, and that name as `kind` in the configuration.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial


def load(kind: str) -> Callable:
    """The loss of a kind."""
    return getattr(importlib.import_module(f"{__name__}.{kind}"), kind)


def build(options: Mapping) -> Callable:
    """A loss with its parameters; `name`, which the study gives a loss, is passed over."""
    return partial(load(options["kind"]), **{key: options[key] for key in options if key not in ("kind", "name")})


def asks(loss: Callable) -> list[str]:
    """What a loss asks for beside logits and labels."""
    parameters = inspect.signature(loss).parameters.values()
    return [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD][2:]
