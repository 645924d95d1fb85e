from torch import nn
from torchvision.models.resnet import ResNet


def from_torchvision(resnet: ResNet, channels: int, stem: str, init: str) -> ResNet:
    """`resnet`, with another first convolution and without its last layer.

    Raises:
        ValueError: where `stem` is neither "cifar" nor "imagenet".
    """
    inner = resnet.conv1.out_channels
    if stem == "cifar":
        resnet.conv1 = nn.Conv2d(channels, inner, 3, stride=1, padding=1, bias=False)
        resnet.maxpool = nn.Identity()
    elif stem == "imagenet":
        resnet.conv1 = nn.Conv2d(channels, inner, 7, stride=2, padding=3, bias=False)
    else:
        raise ValueError(f"stem is {stem!r}; allowed: cifar, imagenet")
    if init == "kaiming":
        nn.init.kaiming_normal_(resnet.conv1.weight, mode="fan_out", nonlinearity="relu")  # torchvision did the others
    else:
        for module in resnet.modules():
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()
    resnet.fc = nn.Identity()
    return resnet
