"""Which trainings a study has, and which of them share a trunk, a choice or a job."""

from __future__ import annotations

import pytest

from equal_losses.running.errors import InputError
from equal_losses.schedules.steps import decay_epochs
from equal_losses.study.grid import CHOSEN, Choice, Experiment, Stack, Study

from .studies import SHIPPED, put, shipped


def small(config: dict, **options) -> Experiment:
    """The experiment of the small study with other options."""
    config["experiments"]["small"] |= options
    return Study(config).experiments["small"]


def tuned(config: dict, tuning_seeds: list[int], **options) -> Experiment:
    """The same, at one loss and width, with two candidates for the weight decay."""
    put(config, "experiments.small.training.weight_decay", {"candidates": [0.001, 0.01], "seeds": tuning_seeds})
    return small(config, losses=["CE"], widths=[0.25], **options)


def test_the_study_of_the_released_code_decays_where_the_code_does():
    study = Study(shipped("paper.yaml released-code.yaml"))
    for experiment in study.experiments.values():
        schedule = experiment.config["training"]["schedule"]
        assert decay_epochs(800, schedule["at"], schedule["shift"]) == [341, 570]


# Runs


def test_a_run_for_every_point_of_the_grid(small_config):
    runs = small(small_config).runs
    points = {(run.loss, run.width, run.epochs, run.seed) for run in runs}
    assert len(runs) == len(points) == 8
    assert points >= {("CE", 0.25, 3, 1), ("FL", 0.5, 7, 1)}


def test_runs_that_nothing_links_are_what_is_trained(small_config):
    experiment = small(small_config)
    assert experiment.trainings == experiment.runs
    assert {run.training for run in experiment.runs} == {*experiment.runs}


def test_settings_are_the_options_of_what_a_run_is_made_of(small_config):
    run = small(small_config).runs[-1]
    assert run.settings == {
        "loss": {"kind": "focal", "gamma": 3, "reduction": "mean"},
        "network": {"kind": "small_resnet", "stem_stride": 1, "init": "kaiming", "width": 0.5},
        "head": {"kind": "linear"},
        "epochs": 7,
        "seed": 1,
        **{key: value for key, value in run.experiment.config["training"].items() if key != "test_normalization"},
    }


def test_snapshots_are_spread_from_the_untrained_network_to_the_end(small_config):
    assert small(small_config).runs[-1].snapshot_epochs == [0, 2, 5, 7]
    assert small(small_config, snapshots=20).runs[0].snapshot_epochs == [0, 1, 2, 3]


def test_snapshots_at_given_epochs_end_with_the_last_one(small_config):
    short, *_, long = small(small_config, snapshots=[4, 1]).runs
    assert (short.snapshot_epochs, long.snapshot_epochs) == ([1, 3], [1, 4, 7])


def test_the_demo_is_the_grid_that_the_readme_speaks_of():
    assert len(Study(shipped("demo.yaml")).experiments["demo"].runs) == 96


def test_the_paper_has_576_runs():
    assert sum(len(experiment.runs) for experiment in Study(shipped("paper.yaml")).experiments.values()) == 576


def test_only_datasets_that_an_experiment_uses_are_prepared(small_config):
    put(small_config, "datasets.unused", {"kind": "mnist"})
    assert Study(small_config).datasets == ["digits"]


@pytest.mark.parametrize(("device", "gpus"), [("cpu", 0), ("cuda", 1), ("auto", 1)])
def test_a_job_asks_for_a_gpu_unless_it_computes_on_the_cpu(small_config, device, gpus):
    small_config["compute"] = {"device": device}
    assert Study(small_config).gpus == gpus


# Trunks


@pytest.mark.parametrize(
    ("epochs", "ends"),
    [
        ([100, 200, 400, 800], [42, 85, 171]),
        ([800, 100], [42]),
        ([100], []),
        ([1, 2], []),
        ([1, 2, 7], []),
        ([14, 15], [6]),  # both decay after epoch 6
    ],
)
def test_trunks_end_where_runs_part(small_config, epochs, ends):
    assert small(small_config, epochs=epochs).trunk_ends == ends


@pytest.mark.parametrize(("warmup", "ends"), [(0, []), (2, [2])])
def test_under_a_cosine_budgets_share_the_warmup_alone(small_config, warmup, ends):
    put(small_config, "experiments.small.training.schedule", {"kind": "cosine", "warmup": warmup})
    experiment = small(small_config, epochs=[7, 14])
    assert experiment.trunk_ends == ends
    assert [training.own_epochs for training in experiment.trainings[:2]] == [7 - warmup, 14 - warmup]


def test_runs_share_nothing_where_they_are_told_not_to(small_config):
    experiment = small(small_config, epochs=[100, 200], share_trunk=False)
    assert experiment.trunk_ends == experiment.trunks == []
    assert [run.own_epochs for run in experiment.runs] == [run.epochs for run in experiment.runs]


@pytest.mark.parametrize("files", SHIPPED)
def test_a_training_and_its_trunks_train_each_of_its_epochs_once(files):
    for experiment in Study(shipped(files)).experiments.values():
        for training in experiment.trainings:
            chain = training.trunks
            assert [trunk.to for trunk in chain] == sorted({trunk.to for trunk in chain}, reverse=True)
            assert training.own_epochs + sum(trunk.own_epochs for trunk in chain) == training.epochs
            assert min(part.own_epochs for part in (training, *chain)) > 0


def test_shared_trunks_make_1202_epochs_of_the_papers_1500():
    experiment = Study(shipped("paper.yaml")).experiments["cifar10"]
    points = {(run.loss, run.width, run.seed) for run in experiment.runs}
    assert sum(run.epochs for run in experiment.runs) == 1500 * len(points)
    assert sum(part.own_epochs for part in (*experiment.trainings, *experiment.trunks)) == 1202 * len(points)


def test_a_trunk_keeps_the_snapshots_of_every_run_through_it(small_config):
    short, long = small(small_config, epochs=[100, 200]).runs[:2]
    assert short.trunks == long.trunks
    (trunk,) = short.trunks
    assert (trunk.to, trunk.parent, trunk.longest) == (42, None, long)
    wanted = {epoch for run in (short, long) for epoch in run.snapshot_epochs if epoch <= 42}
    assert trunk.snapshot_epochs == sorted(wanted)


def test_the_end_of_a_trunk_may_be_a_snapshot(small_config):
    trunk = small(small_config, epochs=[100, 200], snapshots=[0, 42, 43]).trunks[0]
    assert (trunk.to, trunk.snapshot_epochs) == (42, [0, 42])


# A tuned weight decay


def test_candidates_are_trained_at_the_seeds_of_the_tuning(small_config):
    experiment = tuned(small_config, [1, 5], epochs=[7])
    (choice,) = experiment.choices
    assert choice == Choice(experiment, "CE", 0.25, 7)
    assert [(run.seed, run.candidate) for run in choice.candidates] == [(1, 0.001), (1, 0.01), (5, 0.001), (5, 0.01)]
    assert [run.settings["weight_decay"] for run in choice.candidates] == [0.001, 0.01, 0.001, 0.01]


def test_a_run_is_linked_to_the_candidates_of_its_seed_or_to_what_is_trained_once_one_is_chosen(small_config):
    experiment = tuned(small_config, [1], epochs=[7], seeds=[1, 2])
    assert [[(source.seed, source.candidate) for source in run.sources] for run in experiment.runs] == [
        [(1, 0.001), (1, 0.01)],
        [(2, CHOSEN)],
    ]


def test_what_is_trained_are_the_candidates_and_what_the_choice_is_for(small_config):
    experiment = tuned(small_config, [1, 5], epochs=[7], seeds=[1, 2])
    assert [(run.seed, run.candidate) for run in experiment.trainings] == [
        (1, 0.001),
        (1, 0.01),
        (5, 0.001),
        (5, 0.01),
        (2, CHOSEN),
    ]


def test_features_are_not_taken_of_candidates_at_seeds_that_no_run_has(small_config):
    (choice,) = tuned(small_config, [1, 5], epochs=[7]).choices
    assert {(run.seed, run.has_features) for run in choice.candidates} == {(1, True), (5, False)}
    assert {(run.seed, *run.snapshot_epochs) for run in choice.candidates} == {(1, 0, 2, 5, 7), (5, 7)}


def test_candidates_share_a_trunk_with_those_of_their_weight_decay_alone(small_config):
    experiment = tuned(small_config, [1], epochs=[100, 200])
    assert [(trunk.longest.candidate, trunk.to) for trunk in experiment.trunks] == [(0.001, 42), (0.01, 42)]


def test_what_awaits_a_choice_has_no_trunk_because_each_budget_has_its_own_choice(small_config):
    experiment = tuned(small_config, [1], epochs=[100, 200], seeds=[2])
    waiting = [run for run in experiment.trainings if run.candidate == CHOSEN]
    assert [(run.trunk, run.own_epochs) for run in waiting] == [(None, 100), (None, 200)]


# Stacks


def test_a_stack_takes_losses_seed_by_seed(small_config):
    experiment = small(small_config, seeds=[1, 2], stack=3, widths=[0.25], epochs=[7])
    assert [[run.name for run in stack.members] for stack in experiment.trainings] == [
        ["CE/seed1", "FL/seed1", "CE/seed2"],
        ["FL/seed2"],
    ]


def test_every_run_is_trained_in_a_stack_of_which_it_is_a_member(small_config):
    experiment = small(small_config, seeds=[1, 2, 3], stack=4)
    for run in experiment.runs:
        assert run in run.training.members


def test_a_stack_has_the_trunks_and_snapshots_of_its_members(small_config):
    alone = small(small_config, seeds=[1, 2], epochs=[3, 7, 14]).runs
    stacks = small(small_config, stack=2).trainings
    assert {type(stack) for stack in stacks} == {Stack}
    for stack in stacks:
        (one, *_) = [run for run in alone if (run.width, run.epochs) == (stack.width, stack.epochs)]
        assert [trunk.to for trunk in stack.trunks] == [trunk.to for trunk in one.trunks]
        assert [trunk.snapshot_epochs for trunk in stack.trunks] == [trunk.snapshot_epochs for trunk in one.trunks]
        assert stack.snapshot_epochs == one.snapshot_epochs


# Comparisons


def test_features_of_the_largest_networks_with_the_longest_budget_are_compared(small_config):
    experiment = small(small_config, seeds=[1, 2])
    assert {(run.width, run.epochs) for run in experiment.largest_runs} == {(0.5, 7)}
    assert experiment.model_pairs == [
        ("seeds", ("CE", 1), ("CE", 2)),
        ("losses", ("CE", 1), ("FL", 1)),
        ("losses_other_seed", ("CE", 1), ("FL", 2)),
        ("losses_other_seed", ("CE", 2), ("FL", 1)),
        ("losses", ("CE", 2), ("FL", 2)),
        ("seeds", ("FL", 1), ("FL", 2)),
        ("untrained", ("CE", 1), (None, 1)),
        ("untrained", ("CE", 2), (None, 2)),
        ("untrained", ("FL", 1), (None, 1)),
        ("untrained", ("FL", 2), (None, 2)),
    ]


def test_the_theory_takes_the_losses_of_logits_alone(small_config):
    put(small_config, "losses.CENTER", {"kind": "center"})
    assert [loss["name"] for loss in Study(small_config).theory["losses"]] == ["CE", "FL"]
    put(small_config, "theory.losses", ["CENTER"])
    with pytest.raises(InputError, match=r"^theory.losses: 'CENTER'; allowed, of logits alone: CE, FL$"):
        Study(small_config)
