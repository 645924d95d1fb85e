"""The networks: their size, their features, and the classifier that they name."""

from __future__ import annotations

import ast
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18, resnet50, wide_resnet50_2

from equal_losses import networks
from equal_losses.study import kinds
from equal_losses.training.loop import assembled

FILES = {kind: Path(networks.__file__).with_name(f"{kind}.py") for kind in kinds.kinds("networks")}


def build(kind: str, width: float, classes: int = 10, channels: int = 3, **options):
    settings = {"network": {"kind": kind, "width": width, **options}, "head": {"kind": "linear"}}
    return assembled(settings, classes, channels)


def shapes(module: torch.nn.Module, *, without: tuple[str, ...]) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for name, p in module.named_parameters() if not name.startswith(without)]


@pytest.mark.parametrize(
    ("kind", "width", "reference"),
    [("wide_resnet50", 2, wide_resnet50_2), ("wide_resnet50", 1, resnet50), ("wide_resnet18", 1, resnet18)],
)
def test_parameters_match_torchvision_up_to_the_first_convolution_and_the_classifier(kind, width, reference):
    with torch.device("meta"):
        ours, theirs = build(kind, width), reference()
    assert shapes(ours.backbone, without=("conv1",)) == shapes(theirs, without=("conv1", "fc"))


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("width", [0.25, 1])
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 32), (3, 84)])
def test_any_image_size_gives_logits_and_features_of_the_declared_dimension(kind, width, channels, size):
    (declaration,) = (
        node.value
        for node in ast.parse(FILES[kind].read_text()).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "FEATURE_DIMENSION"
    )
    dimension, grows = ast.literal_eval(declaration)
    with torch.device("meta"):
        logits, features = build(kind, width, 7, channels)(torch.empty(2, channels, size, size))
    assert features.shape == (2, dimension * width if grows else dimension)
    assert logits.shape == (2, 7)


@pytest.mark.parametrize("kind", FILES)
def test_logits_are_the_classifier_of_the_features(kind):
    network = build(kind, 0.25).eval()
    with torch.inference_mode():
        logits, features = network(torch.randn(2, 3, 8, 8))
        torch.testing.assert_close(network.classifier(features), logits)
    assert features.isfinite().all()
    assert features.std() > 0


@pytest.mark.parametrize("kind", ["wide_resnet18", "small_resnet"])
def test_the_seed_determines_the_initial_weights(kind):
    first, same, other = (torch.cat([p.flatten() for p in seeded(kind, seed).parameters()]) for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("init", ["kaiming", "pytorch"])
def test_convolutions_begin_as_in_torchvision_or_as_in_pytorch(kind, init):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = build(kind, 0.5, init=init).requires_grad_(False)
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d) and module.weight.numel() > 2000:
            outputs, inputs, *kernel = module.weight.shape
            fan_in, fan_out = (channels * math.prod(kernel) for channels in (inputs, outputs))
            expected = 2 / fan_out if init == "kaiming" else 1 / (3 * fan_in)
            assert float(module.weight.var()) == pytest.approx(expected, rel=0.15), name
            assert (module.weight.abs().max() <= fan_in**-0.5) == (init == "pytorch"), f"{name}: uniform or normal"


def seeded(kind: str, seed: int) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build(kind, 0.25)


def test_wide_resnet50_scales_the_inner_width_alone():
    with torch.device("meta"):
        first = build("wide_resnet50", 0.25).backbone.layer1[0]
    assert first.conv2.weight.shape[:2] == (16, 16)
    assert first.conv3.weight.shape[0] == 256


@pytest.mark.parametrize(("stem", "kernel", "stride"), [("cifar", (3, 3), (1, 1)), ("imagenet", (7, 7), (2, 2))])
def test_the_stem_is_the_first_convolution(stem, kernel, stride):
    with torch.device("meta"):
        convolution = build("wide_resnet18", 1, stem=stem).backbone.conv1
    assert (convolution.kernel_size, convolution.stride) == (kernel, stride)


def test_another_stem_is_named():
    with torch.device("meta"), pytest.raises(ValueError, match=r"^stem is 'mnist'; allowed: cifar, imagenet$"):
        build("wide_resnet18", 1, stem="mnist")


def test_pytorch_is_imported_with_the_first_network_only():
    code = "import sys; from equal_losses import networks; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_small_resnet_does_without_torchvision():
    code = "import sys; from equal_losses.networks import small_resnet; assert 'torchvision' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
