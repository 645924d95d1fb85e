from collections.abc import Iterable

from torch import Tensor, nn


class Network(nn.Module):
    """A feature mapping and a classifier, Eq. (1).

    Attributes:
        backbone: images (N x C x H x W, float) to last-layer features (N x d).
        classifier: features to logits (N x K); a head (see `heads`).
    """

    def __init__(self, backbone: nn.Module, classifier: nn.Module):
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N x K) and last-layer features (N x d) of images (N x C x H x W)."""
        features = self.backbone(images)
        return self.classifier(features), features

    def given(self, names: Iterable[str], features: Tensor) -> dict[str, Tensor | float]:
        """What a loss asks for beside logits and labels, by name: the features, and what the classifier gives."""
        given = {name: features if name == "features" else getattr(self.classifier, name) for name in names}
        return {name: value.to(features.dtype) if isinstance(value, Tensor) else value for name, value in given.items()}


def scaled(channels: int, width: float) -> int:
    """`channels` times X, rounded, and at least 1."""
    return max(1, round(channels * width))
