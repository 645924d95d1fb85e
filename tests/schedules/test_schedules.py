"""The learning rate over the epochs, and how far budgets have it in common."""

from __future__ import annotations

import math

import pytest

from equal_losses.schedules import first_decay, learning_rate
from equal_losses.schedules.steps import decay_epochs
from equal_losses.study import kinds

AT = ["3/7", "5/7"]
STEPS = {"kind": "steps", "at": AT, "factor": 0.1, "shift": 0, "warmup": 0}
COSINE = {"kind": "cosine", "warmup": 0}


def rates(epochs: int, schedule: dict) -> list[float]:
    """The rates of all epochs; before the first decay 0.1."""
    return [learning_rate(epoch, epochs, {"learning_rate": 0.1, "schedule": schedule}) for epoch in range(epochs)]


def test_the_paper_decays_at_three_and_five_sevenths():
    assert [decay_epochs(epochs, AT, 0) for epochs in (100, 200, 400, 800)] == [
        [42, 71],
        [85, 142],
        [171, 285],
        [342, 571],
    ]
    assert rates(7, STEPS) == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_the_released_code_decays_one_epoch_early():
    assert decay_epochs(800, AT, -1) == [341, 570]


def test_a_warmup_rises_by_equal_steps_to_the_rate():
    assert rates(7, {**STEPS, "warmup": 3}) == pytest.approx([0.025, 0.05, 0.075, 0.01, 0.01, 0.001, 0.001])
    assert rates(7, {**COSINE, "warmup": 3})[:4] == pytest.approx([0.025, 0.05, 0.075, 0.1])


def test_a_cosine_falls_from_the_rate_towards_zero():
    assert rates(4, COSINE) == pytest.approx([0.05 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)])
    assert rates(6, {**COSINE, "warmup": 2})[2:] == rates(4, COSINE)


@pytest.mark.parametrize("kind", kinds.kinds("schedules"))
@pytest.mark.parametrize("warmup", [0, 3])
def test_to_the_first_decay_the_rates_are_those_of_every_longer_budget(kind, warmup):
    schedule = {**(STEPS if kind == "steps" else COSINE), "warmup": warmup}
    first = first_decay(7, {"schedule": schedule})
    assert first == (3 if kind == "steps" else warmup)
    assert rates(7, schedule)[:first] == rates(70, schedule)[:first]
