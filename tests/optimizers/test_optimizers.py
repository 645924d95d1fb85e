"""The optimisers' steps, against the updates written out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from equal_losses import optimizers
from equal_losses.study import kinds

START = torch.tensor([[1.0, -2.0, 0.5]])
GRADIENTS = (torch.tensor([[0.5, -1.0, 0.0]]), torch.tensor([[-0.2, 3.0, 1e-3]]), torch.tensor([[0.1, 0.1, -2.0]]))
RATES = (0.1, 0.1, 0.01)
DECAY = 0.2


def stepped(options: dict) -> nn.Parameter:
    """The parameter after a step for each gradient."""
    weight = nn.Parameter(START.clone())
    optimizer = optimizers.build(options, [weight], learning_rate=RATES[0], weight_decay=DECAY)
    for gradient, optimizer.param_groups[0]["lr"] in zip(GRADIENTS, RATES, strict=True):
        weight.grad = gradient.clone()
        optimizer.step()
    shapes = [kept.shape for kept in optimizer.state[weight].values() if kept is not None]
    assert set(shapes) <= {weight.shape, torch.Size([])}
    assert shapes.count(weight.shape) <= kinds.constant("optimizers", options["kind"], "BUFFERS")
    return weight


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, False), (0.9, True), (0, False)])
def test_sgd_has_coupled_weight_decay_and_a_momentum_without_damping(momentum, nesterov):
    w, v = START.clone(), torch.zeros_like(START)
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        g = gradient + DECAY * w
        v = momentum * v + g
        w = w - rate * (g + momentum * v if nesterov else v)
    torch.testing.assert_close(stepped({"kind": "sgd", "momentum": momentum, "nesterov": nesterov}).data, w)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_adam_couples_its_weight_decay_and_adamw_does_not(kind):
    w, m, s = START.clone(), torch.zeros_like(START), torch.zeros_like(START)
    coupled = kind == "adam"
    for step, (gradient, rate) in enumerate(zip(GRADIENTS, RATES, strict=True), start=1):
        g = gradient + coupled * DECAY * w
        m, s = 0.8 * m + 0.2 * g, 0.95 * s + 0.05 * g**2
        direction = (m / (1 - 0.8**step)) / ((s / (1 - 0.95**step)).sqrt() + 1e-3)
        w = (1 - (not coupled) * rate * DECAY) * w - rate * direction
    torch.testing.assert_close(stepped({"kind": kind, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3}).data, w)


def test_every_kind_says_how_many_buffers_it_has():
    assert None not in [kinds.constant("optimizers", kind, "BUFFERS") for kind in kinds.kinds("optimizers")]
