"""The choice of a weight decay, and the runs that it makes."""

from __future__ import annotations

import re

import pytest
from neural_collapse.study import Study
from neural_collapse.tuning import choose_weight_decay


def records(scores: dict[tuple[float, int], float]) -> list[dict]:
    return [
        {"settings": {"weight_decay": decay}, "seed": seed, "best_val_accuracy": score}
        for (decay, seed), score in scores.items()
    ]


def test_the_best_mean_validation_accuracy_is_chosen():
    choice = choose_weight_decay(records({(0.1, 1): 0.9, (0.2, 1): 0.7, (0.1, 2): 0.5, (0.2, 2): 0.8}))
    assert choice["weight_decay"] == 0.2
    assert choice["mean_val_accuracy"] == [
        {"weight_decay": 0.1, "best_val_accuracy": pytest.approx(0.7)},
        {"weight_decay": 0.2, "best_val_accuracy": pytest.approx(0.75)},
    ]
    assert len(choice["scores"]) == 4


def test_of_equal_candidates_the_first_is_chosen():
    assert choose_weight_decay(records({(0.2, 1): 0.9, (0.1, 1): 0.9}))["weight_decay"] == 0.2


@pytest.fixture
def tuned(small_config):
    """The small study with two candidates on seed 1 of the seeds 1 and 12."""
    small_config["experiments"]["small"] |= {"seeds": [1, 12]}
    small_config["experiments"]["small"]["training"]["weight_decay"] = {"candidates": [1e-4, 0.01], "seeds": [1]}
    return Study(small_config)


def test_runs_at_a_seed_of_the_candidates_are_adopted_and_the_others_trained(tuned):
    experiment = tuned.experiments["small"]
    assert {run.seed for run in experiment.adopted} == {1}
    assert {run.seed for run in experiment.trained if run.weight_decay is None} == {12}
    assert len(experiment.candidates) == 2 * 2 * 2 * 2  # losses, widths, epochs, candidates
    for wildcard, seed in ((tuned.adopted_wildcard, 1), (tuned.trained_wildcard, 12)):
        pattern = re.compile(rf"results/runs/(?P<experiment>{wildcard})/CE/width1/epochs3/seed(?P<seed>\d+)/run.json")
        paths = [f"results/runs/small/CE/width1/epochs3/seed{number}/run.json" for number in (1, 12)]
        assert [match["seed"] for path in paths if (match := pattern.fullmatch(path))] == [str(seed)]


def test_candidates_share_stems_of_their_own_and_runs_that_await_the_choice_have_none(tuned):
    experiment = tuned.experiments["small"]
    for run in experiment.candidates:
        assert run.stem.directory.parts[-2] == f"decay{run.weight_decay:g}"
    assert all(run.stem is None for run in experiment.trained if run.weight_decay is None)


def test_a_candidate_is_the_run_with_that_weight_decay(tuned, small_config):
    candidate = tuned.experiments["small"].candidates[0]
    small_config["experiments"]["small"]["training"]["weight_decay"] = candidate.weight_decay
    alone = Study(small_config).run("small", candidate.loss, f"{candidate.width:g}", f"{candidate.epochs}", "1")
    assert candidate.settings == alone.settings
    assert candidate.train_key == alone.train_key


def test_one_more_candidate_leaves_the_keys_of_the_others_alone(tuned, small_config):
    before = {run.directory: run.train_key for run in tuned.experiments["small"].candidates}
    small_config["experiments"]["small"]["training"]["weight_decay"]["candidates"].append(0.1)
    after = {run.directory: run.train_key for run in Study(small_config).experiments["small"].candidates}
    assert before.items() < after.items()
