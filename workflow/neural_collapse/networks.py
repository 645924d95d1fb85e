"""Networks that answer logits and last-layer features.

A network is a function `network(*, width, classes, channels, ...)` that returns a `Network`; its name is the `kind`
of the configuration and its further keywords are keys there. Weights come from PyTorch's global random state: seed it
first.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

# Feature dimension d at X = 1 and whether it grows with X, known here before anything is built.
FEATURE_DIMENSION = {
    "wide_resnet50": (2048, False),
    "wide_resnet18": (512, True),
    "small_resnet": (64, True),
}


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


def wide_resnet50(*, width: float, classes: int, channels: int, stem: str = "cifar") -> Network:
    """WideResNet50-X, X = `width`: torchvision's ResNet-50 with the inner 3x3 width of each bottleneck times X.

    The feature dimension is 2048 at every X; X = 1 is ResNet-50 and X = 2 torchvision's `wide_resnet50_2`.
    `stem="cifar"` is a 3x3 convolution of stride 1 without pooling, `stem="imagenet"` torchvision's own.
    """
    from torchvision.models.resnet import Bottleneck, ResNet

    resnet = ResNet(Bottleneck, [3, 4, 6, 3], width_per_group=_scaled(64, width))
    return _from_torchvision(resnet, 2048, classes, channels, stem)


def wide_resnet18(*, width: float, classes: int, channels: int, stem: str = "cifar") -> Network:
    """WideResNet18-X, X = `width`: torchvision's ResNet-18 with the channels of every stage times X.

    Basic blocks have no inner width to scale apart from their channels, so the feature dimension is 512 X
    (Zagoruyko, Komodakis 2016); X = 1 is ResNet-18. `stem` as in `wide_resnet50`.
    """
    from torchvision.models.resnet import BasicBlock, ResNet

    class ScaledResNet(ResNet):
        def _make_layer(self, block, planes, *args, **options):
            return super()._make_layer(block, _scaled(planes, width), *args, **options)

    return _from_torchvision(ScaledResNet(BasicBlock, [2, 2, 2, 2]), _scaled(512, width), classes, channels, stem)


def small_resnet(*, width: float, classes: int, channels: int, stem_stride: int = 1) -> Network:
    """Three stages of 16, 32 and 64 channels times `width`, a basic block each; feature dimension 64 `width`.

    `stem_stride=2` halves the image in the first convolution and makes everything after it four times cheaper.

    For small images and processors without a GPU. It stands on PyTorch alone: importing torchvision takes a second
    that jobs of a few seconds feel.
    """
    stages = [_scaled(planes, width) for planes in (16, 32, 64)]
    backbone = nn.Sequential(
        nn.Conv2d(channels, stages[0], 3, stride=stem_stride, padding=1, bias=False),
        nn.BatchNorm2d(stages[0]),
        nn.ReLU(inplace=True),
        _BasicBlock(stages[0], stages[0], stride=1),
        _BasicBlock(stages[0], stages[1], stride=2),
        _BasicBlock(stages[1], stages[2], stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return Network(backbone, stages[2], classes)


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(x), inplace=True)


def _from_torchvision(resnet: nn.Module, feature_dimension: int, classes: int, channels: int, stem: str) -> Network:
    inner = resnet.conv1.out_channels
    if stem == "cifar":
        resnet.conv1 = nn.Conv2d(channels, inner, 3, stride=1, padding=1, bias=False)
        resnet.maxpool = nn.Identity()
    elif stem == "imagenet":
        resnet.conv1 = nn.Conv2d(channels, inner, 7, stride=2, padding=3, bias=False)
    else:
        raise ValueError(f"stem is {stem!r}; allowed: cifar, imagenet")
    nn.init.kaiming_normal_(resnet.conv1.weight, mode="fan_out", nonlinearity="relu")
    resnet.fc = nn.Identity()
    return Network(resnet, feature_dimension, classes)


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))
