"""Minima below the best neural collapse, against numbers derived by hand and from random starts."""

import math

import numpy as np
import pytest
import torch

from equal_losses.theory.steps.theorem_1_bias import saturating

from .small_study import tables


@pytest.fixture
def minima():
    return tables()["theorem_1_bias"].set_index(["loss", "lambda_b"])


@pytest.mark.parametrize(
    "loss, lambda_b, lowest, collapse",
    [
        ("saturating", 0.01, 0.570584, 0.5 * (1 - math.log(0.5))),
        ("saturating", 0.1, 0.688448, 0.5 * (1 - math.log(0.5))),
        ("mean absolute error", 0.01, 0.706341, 0.708641),
        ("symmetric cross entropy", 0.01, 2.964159, 2.985703),
    ],
)
def test_a_bounded_loss_lets_the_bias_give_up_a_class(minima, loss, lambda_b, lowest, collapse):
    row = minima.loc[(loss, lambda_b)]
    assert (row["objective"], row["objective_collapse"]) == pytest.approx((lowest, collapse), abs=1e-6)
    assert row["gradient_norm"] < 1e-10


def test_the_saturating_loss_has_definition_1_to_the_letter_and_not_what_a_bias_asks_for(minima):
    assert minima.loc["saturating", "definition_1"].all()
    assert not minima.loc["saturating", "bound"].any()


@pytest.mark.parametrize("loss", ["saturating", "mean absolute error"])
def test_without_a_bias_the_minimum_is_collapse(minima, loss):
    row = minima.loc[(loss, math.inf)]
    assert row["objective"] == pytest.approx(row["objective_collapse"], abs=1e-9)


def test_at_the_minimum_of_the_saturating_loss_nothing_but_the_bias_is_left(minima):
    """With W = H = 0 and b = (-x, x): the mean of exp(-2x) and 1 + e (1 - exp(-2x/e)), and lambda_b x^2."""
    row, e = minima.loc[("saturating", 0.1)], 0.05
    x = row["bias_spread"]
    assert row["size"] < 1e-9
    value = (np.exp(-2 * x) + 1 + e * (1 - np.exp(-2 * x / e))) / 2 + 0.1 * x**2
    assert row["objective"] == pytest.approx(value, rel=1e-12)


def test_the_saturating_loss_is_smooth_at_zero_and_bounded():
    logits = torch.tensor([[0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    loss = saturating(logits, torch.tensor([0]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (loss.item(), gradient.tolist()) == (1, [[-1, 1]])
    assert saturating(torch.tensor([[-500.0, 500.0]]), torch.tensor([0])).item() == pytest.approx(1.05)
