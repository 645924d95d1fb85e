from typing import Literal

from torchvision.models.resnet import Bottleneck, ResNet

from equal_losses.networks._torchvision import from_torchvision
from equal_losses.networks.network import scaled

FEATURE_DIMENSION = (2048, False)


def wide_resnet50(
    *, width: float, channels: int, stem: str = "cifar", init: Literal["kaiming", "pytorch"] = "kaiming"
) -> tuple[ResNet, int]:
    """WideResNet50-X, X = `width`: torchvision's ResNet-50 with the inner 3x3 width of each bottleneck times X.

    The feature dimension is 2048 at every X; X = 1 is ResNet-50 and X = 2 torchvision's `wide_resnet50_2`.
    `stem="cifar"` is a 3x3 convolution of stride 1 without pooling, `stem="imagenet"` torchvision's own.
    Convolutions begin as torchvision's networks with `init="kaiming"`: normal, of variance 2/fan-out (He et al. 2015);
    with `init="pytorch"` as PyTorch's layer and the released code: uniform, of variance 1/(3 fan-in).
    """
    resnet = ResNet(Bottleneck, [3, 4, 6, 3], width_per_group=scaled(64, width))
    return from_torchvision(resnet, channels, stem, init), 2048
