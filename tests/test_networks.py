"""The networks: their size, their features, and the classifier that they name."""

from __future__ import annotations

import pytest
import torch
from neural_collapse import networks
from neural_collapse.provenance import Codebase
from torchvision.models import resnet18, resnet50, wide_resnet50_2

KINDS = ["wide_resnet50", "wide_resnet18", "small_resnet"]


def shapes(module: torch.nn.Module, *, without: tuple[str, ...]) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for name, p in module.named_parameters() if not name.startswith(without)]


@pytest.mark.parametrize(
    ("network", "width", "reference"),
    [
        (networks.wide_resnet50, 2, wide_resnet50_2),
        (networks.wide_resnet50, 1, resnet50),
        (networks.wide_resnet18, 1, resnet18),
    ],
)
def test_parameters_match_torchvision_up_to_the_stem_and_the_classifier(network, width, reference):
    with torch.device("meta"):
        ours = network(width=width, classes=10, channels=3)
        theirs = reference()
    assert shapes(ours.backbone, without=("conv1",)) == shapes(theirs, without=("conv1", "fc"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [0.25, 1])
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 32), (3, 84)])
def test_any_image_size_gives_logits_and_features(kind, width, channels, size):
    network = getattr(networks, kind)(width=width, classes=7, channels=channels).eval()
    with torch.inference_mode():
        logits, features = network(torch.randn(2, channels, size, size))
        dimension, scales = networks.FEATURE_DIMENSION[kind]
        assert features.shape == (2, dimension * width if scales else dimension)
        assert logits.shape == (2, 7)
        torch.testing.assert_close(network.classifier(features), logits)


def test_every_network_declares_its_feature_dimension():
    assert set(networks.FEATURE_DIMENSION) == set(Codebase().functions("networks")) == set(KINDS)


def test_wide_resnet50_scales_the_inner_width_alone():
    with torch.device("meta"):
        network = networks.wide_resnet50(width=0.25, classes=10, channels=3)
    first = network.backbone.layer1[0]
    assert first.conv2.weight.shape[:2] == (16, 16)
    assert first.conv3.weight.shape[0] == 256


def test_stems():
    cifar = networks.wide_resnet18(width=1, classes=10, channels=3).backbone
    imagenet = networks.wide_resnet18(width=1, classes=10, channels=3, stem="imagenet").backbone
    assert (cifar.conv1.kernel_size, cifar.conv1.stride) == ((3, 3), (1, 1))
    assert (imagenet.conv1.kernel_size, imagenet.conv1.stride) == ((7, 7), (2, 2))
    with pytest.raises(ValueError, match="stem is 'mnist'; allowed: cifar, imagenet"):
        networks.wide_resnet18(width=1, classes=10, channels=3, stem="mnist")
