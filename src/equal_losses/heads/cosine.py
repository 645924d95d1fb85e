from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor, nn

GIVES = ("scale",)


def cosine(*, dimension: int, classes: int, scale: Annotated[float, Gt(0)] = 10.0) -> CosineHead:
    """Logits sigma cos(w, h), with sigma = `scale` and no bias (Wang et al. 2017, NormFace).

    Args:
        scale: sigma, above 0; 10 by default. With 30 and more, as for faces, a loss is zero to rounding long before the
            features have collapsed.
    """
    return CosineHead(dimension, classes, scale)


class CosineHead(nn.Module):
    """See `cosine`.

    Attributes:
        in_features: d.
        scale: sigma.
        direction: K x d, the parameter; what counts of a row is its direction.
        copies: S, above 1 in a stack, with S times the rows and features.
    """

    bias = None

    def __init__(self, dimension: int, classes: int, scale: float):
        super().__init__()
        self.in_features, self.scale, self.copies = dimension, scale, 1
        self.direction = nn.Parameter(torch.randn(classes, dimension) / dimension**0.5)

    @property
    def weight(self) -> Tensor:
        """K x d: rows of norm 1."""
        return F.normalize(self.direction, dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (N x K) of features (N x d)."""
        directions = F.normalize(features.unflatten(1, (self.copies, -1)), dim=2).transpose(0, 1)
        cosines = torch.bmm(directions, self.weight.unflatten(0, (self.copies, -1)).mT)
        return self.scale * cosines.transpose(0, 1).flatten(1)
