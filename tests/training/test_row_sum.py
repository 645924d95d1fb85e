"""Whole trainings against a law that is exact: the sum of the classifier's rows (see `theory.row_sum`).

Weight decay is so strong that the sum halves several times while it is still far above rounding.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from equal_losses.theory.row_sum import row_sums
from equal_losses.training.state import TrainingState, load_states, save_states

from .runs import LOSSES, run, states_of, trained, trained_together

INVARIANT = LOSSES | {"LS": {"kind": "label_smoothing", "smoothing": 0.1, "reduction": "mean"}}
MSE = {"kind": "mse", "kappa": 1, "beta": 15, "class_reduction": "sum", "reduction": "mean"}
SGD = {"kind": "sgd", "momentum": 0.9, "nesterov": False}
DECAYING = {"batch_size": 20, "weight_decay": 0.05, "optimizer": SGD}


def sums(state: TrainingState) -> np.ndarray:
    """The sum of the rows of W, and that of the biases."""
    weight, bias = (state.weights[f"classifier.{name}"].double().numpy() for name in ("weight", "bias"))
    return np.append(weight.sum(axis=0), bias.sum())


def deviation(settings: dict, dataset, states: list[TrainingState], start: np.ndarray) -> float:
    """The largest deviation from the law at any of the states, over the largest entry at the start."""
    steps = math.ceil(len(dataset.labels("train")) / settings["batch_size"])
    law = row_sums(settings, settings["epochs"], steps)
    assert law[-1] < 0.3, "weight decay has done something"
    return max(abs(sums(state) - law[state.epoch] * start).max() for state in states) / abs(start).max()


@pytest.fixture(scope="module")
def start(digits) -> np.ndarray:
    """The sums of seed 1 before any step."""
    return sums(trained(run(), digits, until=0))


@pytest.mark.parametrize("loss", INVARIANT)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"clip_norm": 0.05},
        {"optimizer": {**SGD, "nesterov": True}},
        {"optimizer": {**SGD, "momentum": 0.5}, "schedule": {"kind": "cosine", "warmup": 2}, "weight_decay": 0.2},
    ],
    ids=["the paper's optimiser", "clipped at every step", "Nesterov", "another schedule"],
)
def test_a_training_keeps_the_law_to_rounding(digits, start, loss, changes):
    settings = {**run(**{**DECAYING, **changes}), "loss": INVARIANT[loss]}
    assert deviation(settings, digits, states_of(settings, digits), start) < 1e-5


def test_a_training_that_stopped_and_went_through_a_trunk_keeps_it(digits, start, tmp_path):
    """From a longer budget's first three epochs, and from a file after the fifth."""
    path, settings = tmp_path / "state.safetensors", run(**DECAYING)
    trunk = trained({**settings, "epochs": 70}, digits, until=3)
    save_states(path, [trained(settings, digits, start=trunk, until=5)])
    states = states_of(settings, digits, start=load_states(path)[0])
    assert deviation(settings, digits, states, start) < 1e-5


def test_trainings_as_one_keep_it_each(digits, start):
    settings = run(**DECAYING)
    states = trained_together({name: {**settings, "loss": loss} for name, loss in INVARIANT.items()}, digits)
    assert deviation(settings, digits, states, start) < 1e-5


def test_mse_breaks_it(digits, start):
    settings = {**run(**DECAYING), "loss": MSE}
    assert deviation(settings, digits, states_of(settings, digits), start) > 0.1


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_adam_breaks_it(digits, start, kind):
    """What is held against the law of SGD has steps of another kind."""
    settings = run(**DECAYING)
    states = states_of({**settings, "optimizer": {"kind": kind}, "learning_rate": 0.01}, digits)
    assert deviation(settings, digits, states, start) > 0.1
