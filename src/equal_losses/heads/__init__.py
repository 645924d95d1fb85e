"""Classifiers on top of the features: one file per kind.

A head is a function `head(*, dimension, classes, ...)` that returns a module from features (N x d) to logits (N x K),
with the attributes `in_features` (d), `weight` (K x d) and `bias` (K, or None), such that the largest logit is the
largest of W h + b; its further keywords are keys of the configuration. Initial weights come from PyTorch's global
random state.

A new head is one file here, whose function has the file's name, with the constant `GIVES`, a literal: the names of its
attributes that a loss may ask for. For stacks of networks (see `training.stacking`) it needs the attribute `copies`, 1,
and computes with S copies, when it is told so, N x (S K) logits of N x (S d) features.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def load(kind: str) -> Callable:
    """The function of a kind."""
    return getattr(importlib.import_module(f"{__name__}.{kind}"), kind)


def build(options: Mapping, *, dimension: int, classes: int) -> nn.Module:
    """A head for features of d = `dimension` and K `classes`.

    Args:
        options: `kind` and the kind's own keywords.
    """
    keywords = {key: value for key, value in options.items() if key != "kind"}
    return load(options["kind"])(dimension=dimension, classes=classes, **keywords)
