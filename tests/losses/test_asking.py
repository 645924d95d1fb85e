"""The losses that ask for more than logits: features, weight of the head or its scale."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from equal_losses import heads, losses
from equal_losses.study import kinds

from .shipped import built

HEADS = {"weight": "linear", "scale": "cosine"}
ASKING = [kind for kind in kinds.kinds("losses") if kinds.asked(kind)]
CASES = [(kind, {}) for kind in ASKING] + [
    *(("l_softmax", {"margin": margin}) for margin in (1, 3, 4)),
    *(("sphereface", {"margin": margin}) for margin in (1, 2, 3)),
    ("arcface", {"margin": 1.2}),
    ("center", {"penalty": 2.0}),
]
every_case = pytest.mark.parametrize(("kind", "options"), CASES)


def under_a_head(kind: str, options: dict, scale: float = 3.0) -> Callable[..., Tensor]:
    """The loss as a function of features, labels and the head's K x d rows, without a bias."""
    loss, asked = built(kind, **options), kinds.asked(kind)

    def value(features: Tensor, labels: Tensor, weight: Tensor, **keywords) -> Tensor:
        available = {"features": features, "weight": weight, "scale": scale}
        logits = features @ weight.T
        if "scale" in asked:
            logits = scale * F.normalize(features, dim=1) @ F.normalize(weight, dim=1).T
        return loss(logits, labels, **{name: available[name] for name in asked}, **keywords)

    return value


def sample(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Seven features in four dimensions, labels, and rows of three classes."""
    generator = torch.Generator().manual_seed(seed)
    features, weight = (torch.randn(rows, 4, dtype=torch.float64, generator=generator) for rows in (7, 3))
    return features, torch.tensor([0, 2, 2, 1, 0, 1, 1]), weight


def test_what_a_loss_asks_for_is_read_alike_from_its_source_and_from_itself():
    for kind in kinds.kinds("losses"):
        assert losses.asks(losses.load(kind)) == kinds.asked(kind)
        assert losses.asks(built(kind)) == kinds.asked(kind)


def test_what_a_loss_asks_for_some_head_gives():
    given = {name for head in kinds.kinds("heads") for name in kinds.constant("heads", head, "GIVES")}
    assert {name for kind in ASKING for name in kinds.asked(kind)} <= {"features"} | given


@every_case
def test_the_gradient_agrees_with_finite_differences(kind, options):
    features, labels, weight = (tensor.requires_grad_(tensor.is_floating_point()) for tensor in sample())
    loss = under_a_head(kind, options)
    assert torch.autograd.gradcheck(lambda h, w: loss(h, labels, w), (features, weight))


@every_case
def test_the_reductions_are_mean_and_sum_over_the_batch(kind, options):
    features, labels, weight = sample()
    mean, total = (under_a_head(kind, options)(features, labels, weight, reduction=name) for name in ("mean", "sum"))
    torch.testing.assert_close(7 * mean, total)
    with pytest.raises(ValueError, match=r"^reduction is 'none'; allowed: mean, sum$"):
        under_a_head(kind, options)(features, labels, weight, reduction="none")


@every_case
@pytest.mark.parametrize("case", ["aligned", "opposite", "far", "zero"])
def test_loss_and_gradient_are_finite_where_angles_have_no_derivative(kind, options, case):
    weight = torch.eye(3, requires_grad=True)
    factor = {"aligned": 1.0, "opposite": -1.0, "far": 1e4, "zero": 0.0}[case]
    features = (factor * torch.eye(3)).requires_grad_()
    loss = under_a_head(kind, options, scale=1e4 if case == "far" else 10.0)(features, torch.arange(3), weight)
    loss.backward()
    assert loss.isfinite()
    assert features.grad.isfinite().all()
    assert weight.grad.isfinite().all()


def psi(theta: float, margin: int) -> float:
    """As the papers write it."""
    k = min(int(theta * margin / math.pi), margin - 1)
    return (-1) ** k * math.cos(margin * theta) - 2 * k


@pytest.mark.parametrize("theta", [0.0, 0.3, 1.0, 1.6, 2.5, 3.1])
@pytest.mark.parametrize(
    ("kind", "options", "true"),
    [
        ("normface", {}, math.cos),
        ("cosface", {}, lambda theta: math.cos(theta) - 0.35),
        ("arcface", {}, lambda theta: math.cos(theta + 0.5)),
        ("sphereface", {}, lambda theta: psi(theta, 4)),
        ("sphereface", {"margin": 3}, lambda theta: psi(theta, 3)),
        ("l_softmax", {}, lambda theta: psi(theta, 2)),
        ("l_softmax", {"margin": 4}, lambda theta: psi(theta, 4)),
    ],
)
def test_values_by_hand_at_an_angle(kind, options, true, theta):
    features = 2 * torch.tensor([[math.cos(theta), math.sin(theta)]], dtype=torch.float64)
    weight = torch.tensor([[1.5, 0.0], [0.0, 0.5]], dtype=torch.float64)
    lengths = (3.0, 1.0) if kind == "l_softmax" else (5.0, 5.0)
    expected = math.log1p(math.exp(lengths[1] * math.sin(theta) - lengths[0] * true(theta)))
    found = under_a_head(kind, options, scale=5.0)(features, torch.tensor([0]), weight)
    assert found.item() == pytest.approx(expected, abs=1e-7)


def test_the_center_loss_by_hand():
    features = torch.tensor([[1.0, 0.0], [3.0, 0.0], [7.0, 5.0]], dtype=torch.float64)
    labels, weight = torch.tensor([0, 0, 1]), torch.zeros(2, 2, dtype=torch.float64)
    found = under_a_head("center", {"penalty": 0.5})(features, labels, weight, reduction="sum")
    assert found.item() == pytest.approx(3 * math.log(2) + 0.25 * (1 + 1 + 0))


@given(st.integers(0, 99))
def test_without_its_margin_or_penalty_it_is_cross_entropy(seed):
    features, labels, weight = sample(seed)
    expected = F.cross_entropy(features @ weight.T, labels)
    for kind, options in (("l_softmax", {"margin": 1}), ("center", {"penalty": 0})):
        torch.testing.assert_close(under_a_head(kind, options)(features, labels, weight), expected)
    expected = under_a_head("normface", {})(features, labels, weight)
    for kind, options in (("cosface", {"margin": 0}), ("arcface", {"margin": 0}), ("sphereface", {"margin": 1})):
        torch.testing.assert_close(under_a_head(kind, options)(features, labels, weight), expected)


@given(st.integers(0, 99), st.integers(1, 5))
def test_a_multiplied_angle_never_lowers_the_loss_and_changes_nothing_at_angle_0(seed, margin):
    features, labels, weight = sample(seed)
    loss = under_a_head("l_softmax", {"margin": margin})
    plain = F.cross_entropy(features @ weight.T, labels)
    assert loss(features, labels, weight) >= plain - 1e-12
    torch.testing.assert_close(loss(weight[labels], labels, weight), F.cross_entropy(weight[labels] @ weight.T, labels))


def test_a_bias_stays_as_it_is_under_l_softmax():
    features, labels, weight = sample()
    bias = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    loss = built("l_softmax")
    adjusted = []
    for shift in (torch.zeros_like(bias), bias):
        logits = (features @ weight.T + shift).requires_grad_()
        value = loss(logits, labels, features, weight)
        adjusted.append(torch.autograd.grad(value, logits)[0])
    # The gradient in the logits is softmax minus one-hot of the adjusted logits: their log-ratios differ by the bias.
    shares = [7 * gradient + F.one_hot(labels, 3) for gradient in adjusted]
    difference = shares[1].log() - shares[0].log() - bias
    torch.testing.assert_close(difference, difference[:, :1].expand(-1, 3))


@pytest.mark.parametrize("sigma", [1.0, 10.0])
@pytest.mark.parametrize(
    ("kind", "exponent"),
    [
        ("normface", lambda sigma, K: -sigma * K / (K - 1)),
        ("sphereface", lambda sigma, K: -sigma * K / (K - 1)),
        ("cosface", lambda sigma, K: sigma * (0.35 - K / (K - 1))),
        ("arcface", lambda sigma, K: -sigma * (1 / (K - 1) + math.cos(0.5))),
    ],
)
def test_the_value_at_a_simplex_is_log_of_1_plus_K_minus_1_times_exp_g(kind, exponent, sigma):
    """Features and rows are the vertices; the best that there is, whatever the features."""
    K = 4
    simplex = torch.eye(K, dtype=torch.float64) - 1 / K
    found = under_a_head(kind, {}, scale=sigma)(simplex, torch.arange(K), simplex).item()
    assert found == pytest.approx(math.log1p((K - 1) * math.exp(exponent(sigma, K))), abs=1e-6)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        features, weight = (torch.randn(K, 5, dtype=torch.float64, generator=generator) for _ in range(2))
        assert under_a_head(kind, {}, scale=sigma)(features, torch.arange(K), weight) > found


@pytest.mark.parametrize("kind", kinds.kinds("heads"))
def test_the_losses_take_what_the_heads_give(kind):
    head = heads.build({"kind": kind}, dimension=4, classes=3)
    features, labels, _ = sample()
    for loss in ASKING:
        asked = kinds.asked(loss)
        if set(asked) <= {"features", *kinds.constant("heads", kind, "GIVES")}:
            given_ = {name: features.float() if name == "features" else getattr(head, name) for name in asked}
            assert built(loss)(head(features.float()), labels, **given_).isfinite()
