"""Every loss of the library, with parameters for those that have no default."""

from __future__ import annotations

from collections.abc import Callable

import torch

from equal_losses import losses
from equal_losses.study import kinds

REQUIRED = {"focal": {"gamma": 3.0}, "label_smoothing": {"smoothing": 0.1}, "mse": {"kappa": 1.0, "beta": 15.0}}

# Every loss of logits, and some again with parameters that take another branch.
CASES = [(kind, REQUIRED.get(kind, {})) for kind in kinds.kinds("losses") if not kinds.asked(kind)] + [
    ("focal", {"gamma": 0.0}),
    ("focal", {"gamma": 0.5}),
    ("focal", {"gamma": 1.0}),
    ("gce", {"q": 1.0}),
    ("gce", {"q": 0.01}),
    ("poly1", {"epsilon": -2.0}),
    ("entmax", {"alpha": 1.0}),
    ("entmax", {"alpha": 1.3}),
    ("entmax", {"alpha": 2.0}),
    ("entmax", {"alpha": 3.0}),
    ("bi_tempered", {"t1": 1.0, "t2": 1.2}),
    ("bi_tempered", {"t1": 0.0, "t2": 1.0}),
    ("bi_tempered", {"t1": 0.5, "t2": 3.0}),
    ("logit_adjustment", {"tau": 2.0, "prior": (5, 3, 1)}),
    *(("f_divergence", {"divergence": name}) for name in ("KL", "Pearson", "Jeffrey", "JS")),
    ("top_k", {"k": 1}),
]


def built(kind: str, **options: object) -> Callable[..., torch.Tensor]:
    """The loss with these parameters, or where there are none with its own."""
    return losses.build({"kind": kind} | (options or REQUIRED.get(kind, {})))


def named(case: object) -> str | None:
    """A short name of a case for pytest."""
    return None if isinstance(case, str) else ",".join(f"{key}={value}" for key, value in case.items()) or "default"
