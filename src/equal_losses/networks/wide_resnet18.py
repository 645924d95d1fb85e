from typing import Literal

from torchvision.models.resnet import BasicBlock, ResNet

from equal_losses.networks._torchvision import from_torchvision
from equal_losses.networks.network import scaled

FEATURE_DIMENSION = (512, True)


def wide_resnet18(
    *, width: float, channels: int, stem: str = "cifar", init: Literal["kaiming", "pytorch"] = "kaiming"
) -> tuple[ResNet, int]:
    """WideResNet18-X, X = `width`: torchvision's ResNet-18 with the channels of every stage times X.

    Basic blocks have no inner width to scale apart from their channels, so the feature dimension is 512 X
    (Zagoruyko, Komodakis 2016); X = 1 is ResNet-18. `stem` and `init` as in `wide_resnet50`.
    """

    class ScaledResNet(ResNet):
        def _make_layer(self, block, planes, *args, **options):
            return super()._make_layer(block, scaled(planes, width), *args, **options)

    return from_torchvision(ScaledResNet(BasicBlock, [2, 2, 2, 2]), channels, stem, init), scaled(512, width)
