from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from equal_losses.networks.network import scaled

FEATURE_DIMENSION = (64, True)


def small_resnet(
    *, width: float, channels: int, stem_stride: int = 1, init: Literal["kaiming", "pytorch"] = "kaiming"
) -> tuple[nn.Module, int]:
    """Three stages of 16, 32 and 64 channels times X = `width`, one basic block each; feature dimension 64 X.

    For small images and processors without a GPU: it does without torchvision, whose import takes a second.
    `stem_stride=2` halves the image in the first convolution and makes everything after it four times cheaper. `init`
    is as in `wide_resnet50`.
    """
    stages = [scaled(planes, width) for planes in (16, 32, 64)]
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
        if isinstance(module, nn.Conv2d) and init == "kaiming":
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return backbone, stages[2]


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
