from __future__ import annotations

from torch import Tensor, nn


class Network(nn.Module):
    """A feature mapping and a linear classifier, Eq. (1).

    Attributes:
        backbone: images (N x C x H x W, float) to last-layer features (N x d).
        classifier: the linear layer (W: K x d, b: K).
    """

    def __init__(self, backbone: nn.Module, feature_dimension: int, classes: int):
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(feature_dimension, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N x K) and last-layer features (N x d) of images (N x C x H x W)."""
        features = self.backbone(images)
        return self.classifier(features), features


def scaled(channels: int, width: float) -> int:
    """`channels` times X, rounded, and at least 1."""
    return max(1, round(channels * width))
