"""Networks from images to last-layer features: one file per kind.

A network is a function `network(*, width, channels, ...)` that returns a module from images to features, and their
dimension d; its further keywords are keys of the configuration. Weights come from PyTorch's global random state: seed
it first. A head (see `heads`) makes logits of the features.

A new network is one file here, whose function has the file's name, with the constant
`FEATURE_DIMENSION = (d at X = 1, whether d grows with X)`, a literal, because it is read before anything is imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def load(kind: str) -> Callable:
    """The network function of a kind."""
    return getattr(importlib.import_module(f"{__name__}.{kind}"), kind)


def build(options: Mapping, *, channels: int) -> tuple[nn.Module, int]:
    """The network of the configuration's `options` for images of C `channels`, and d."""
    keywords = {key: value for key, value in options.items() if key != "kind"}
    return load(options["kind"])(channels=channels, **keywords)
