"""The choice among candidates."""

from __future__ import annotations

import pytest

from equal_losses.statistics.tuning import choose_candidate


def records(scores: dict[tuple[float, int], float]) -> list[dict]:
    return [
        {"settings": {"weight_decay": decay, "seed": seed}, "best_val_accuracy": score}
        for (decay, seed), score in scores.items()
    ]


def test_the_best_mean_validation_accuracy_is_chosen():
    choice = choose_candidate(records({(0.1, 1): 0.9, (0.2, 1): 0.7, (0.1, 2): 0.5, (0.2, 2): 0.8}), "weight_decay")
    assert choice["chosen"] == {"weight_decay": 0.2}
    assert choice["mean_val_accuracy"] == [
        {"weight_decay": 0.1, "best_val_accuracy": pytest.approx(0.7)},
        {"weight_decay": 0.2, "best_val_accuracy": pytest.approx(0.75)},
    ]


def test_every_candidate_at_every_seed_is_reported():
    choice = choose_candidate(records({(0.1, 1): 0.9, (0.2, 12): 0.7}), "weight_decay")
    assert choice["scores"] == [
        {"weight_decay": 0.1, "seed": 1, "best_val_accuracy": 0.9},
        {"weight_decay": 0.2, "seed": 12, "best_val_accuracy": 0.7},
    ]


def test_ties_go_to_the_first_candidate():
    assert choose_candidate(records({(0.2, 1): 0.9, (0.1, 1): 0.9}), "weight_decay")["chosen"] == {"weight_decay": 0.2}
