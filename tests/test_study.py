"""Grids, paths, snapshots, shared stems and keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from neural_collapse import configuration
from neural_collapse.errors import InputError
from neural_collapse.schedule import decay_epochs, learning_rate
from neural_collapse.study import RUN, Study

from .conftest import ROOT

PAPER = {"decay_at": ["3/7", "5/7"], "decay_factor": 0.1, "decay_shift": 0, "learning_rate": 0.1}


def stem_ends(config: dict, *epochs: int) -> list[int]:
    config["experiments"]["small"]["epochs"] = list(epochs)
    return Study(config).experiments["small"].stem_ends


def test_the_paper_decays_at_three_and_five_sevenths():
    assert [decay_epochs(epochs, PAPER) for epochs in (100, 200, 400, 800)] == [
        [42, 71],
        [85, 142],
        [171, 285],
        [342, 571],
    ]
    assert [round(learning_rate(epoch, 7, PAPER), 6) for epoch in range(7)] == [0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]


def test_the_released_code_decays_one_epoch_early():
    assert decay_epochs(800, {**PAPER, "decay_shift": -1}) == [341, 570]


def test_a_run_for_every_point_of_the_grid(small_config):
    runs = Study(small_config).experiments["small"].runs
    assert len(runs) == len({run.directory for run in runs}) == 8
    assert runs[0].directory == Path("results/runs/small/CE/width0.25/epochs3/seed1")


def test_a_run_is_found_by_its_wildcards(small_config):
    study = Study(small_config)
    for run in study.experiments["small"].runs:
        found = study.run("small", run.loss, f"{run.width:g}", str(run.epochs), str(run.seed))
        assert (found.directory, found.train_key) == (run.directory, run.train_key)


def test_snapshots_are_spread_from_the_untrained_network_to_the_end(small_config):
    run = Study(small_config).experiments["small"].runs[-1]
    assert run.epochs == 7
    assert run.snapshot_epochs == [0, 2, 5, 7]
    small_config["experiments"]["small"]["snapshots"] = [1, 4, 90]
    assert Study(small_config).experiments["small"].runs[-1].snapshot_epochs == [1, 4, 7]


def test_stems_end_where_runs_part(small_config):
    assert stem_ends(small_config, 100, 200, 400, 800) == [42, 85, 171]
    assert stem_ends(small_config, 100) == []
    assert stem_ends(small_config, 800, 100) == [42]
    assert stem_ends(small_config, 1, 2) == []
    assert stem_ends(small_config, 1, 2, 7) == []
    assert stem_ends(small_config, 14, 15) == [6]  # both decay after epoch 6
    small_config["experiments"]["small"]["share_stem"] = False
    assert stem_ends(small_config, 100, 200) == []


def test_shared_stems_make_1202_epochs_of_the_papers_1500(small_config):
    ends = stem_ends(small_config, 100, 200, 400, 800)
    study = Study(small_config)
    runs = [run for run in study.experiments["small"].runs if (run.loss, run.width) == ("CE", 0.25)]
    assert ends[-1] + sum(run.epochs - run.stem.to for run in runs) == 1202


def test_a_stem_keeps_the_snapshots_of_every_run_through_it(small_config):
    stem_ends(small_config, 100, 200)
    study = Study(small_config)
    short, long = study.experiments["small"].runs[:2]
    assert short.stems == long.stems
    stem = short.stem
    assert (stem.to, stem.parent) == (42, None)
    wanted = {epoch for run in (short, long) for epoch in run.snapshot_epochs if epoch <= 42}
    assert stem.snapshot_epochs == sorted(wanted)


def test_a_key_changes_with_what_the_step_uses_and_with_nothing_else(small_config):
    def keys(config: dict) -> tuple[str, str]:
        study = Study(config)
        return tuple(study.run("small", loss, "0.5", "7", "1").train_key for loss in ("CE", "FL"))

    before = keys(small_config)
    small_config["losses"]["FL"]["gamma"] = 2
    assert [a == b for a, b in zip(before, keys(small_config), strict=True)] == [True, False]
    small_config["losses"]["FL"]["gamma"] = 3
    small_config["losses"]["LS"] = {"kind": "label_smoothing", "smoothing": 0.1}
    small_config["experiments"]["small"] |= {"seeds": [1, 2], "share_stem": False}
    small_config["compute"] = {"device": "cpu", "threads": 2}
    assert keys(small_config) == before
    small_config["experiments"]["small"]["training"]["weight_decay"] = 0.1
    assert not set(keys(small_config)) & set(before)


def test_the_table_key_knows_every_run(small_config):
    def key() -> str:
        return Study(small_config).experiments["small"].table_key

    before = key()
    small_config["experiments"]["small"]["seeds"] = [1, 2]
    assert key() != before


@pytest.mark.parametrize("value", ["0.25", "1", "2", "0.5"])
def test_a_width_in_a_path_reads_as_it_was_written(small_config, value):
    assert f"width{value}/" in f"{Study(small_config).run('small', 'CE', value, '3', '1').directory}"


def test_the_demo_is_the_grid_that_the_readme_speaks_of():
    demo = Study(configuration.load([ROOT / "config" / "demo.yaml"])).experiments["demo"]
    assert len(demo.runs) == 32


# Stacks


def stacked(config: dict, **options) -> Study:
    config["experiments"]["small"] |= {"seeds": [1, 2], "stack": 2, **options}
    return Study(config)


def train_keys(study: Study) -> dict[Path, str]:
    return {run.directory: run.train_key for run in study.experiments["small"].runs}


def test_a_stack_takes_losses_seed_by_seed(small_config):
    stacks = stacked(small_config, stack=3).stacks
    assert [stack.members for stack in stacks] == [(("CE", 1), ("FL", 1), ("CE", 2)), (("FL", 2),)]
    assert [stack.name for stack in stacks] == ["small_1", "small_2"]
    assert stacked(small_config, stack=1).stacks == []


def test_a_stack_has_the_runs_and_stems_of_its_members(small_config):
    (stack, _) = stacked(small_config).stacks
    folder = "results/runs/small/FL/width{width}/epochs{epochs}/seed1"
    assert stack.files(RUN, "run.json")[1] == f"{folder}/run.json"
    runs = stack.runs(width="0.25", epochs="7")
    assert [str(run.directory) for run in runs][1] == folder.format(width="0.25", epochs="7")
    assert [stem.to for stem in stack.stems(width="0.25", to="1")] == [1, 1]
    assert {run.log_directory for run in runs} == {Path("results/logs/stacks/small/1/width0.25/epochs7")}


def test_the_snapshots_of_stems_of_a_stack_are_told_apart_by_their_places(small_config):
    (stack, _) = stacked(small_config, epochs=[3, 7, 14]).stacks
    folders = stack.stem_snapshots(width="0.25", epochs="14")
    for index, run in enumerate(stack.runs(width="0.25", epochs="14")):
        assert folders[index::2] == run.stem_snapshots
        assert len(run.stem_snapshots) == 2


def test_in_a_stack_the_key_of_a_run_depends_on_the_others_in_it_alone(small_config):
    alone = train_keys(stacked(small_config, stack=1))
    before = train_keys(stacked(small_config))
    assert not set(alone.values()) & set(before.values())
    assert train_keys(stacked(small_config, stack=4)) != before
    assert train_keys(stacked(small_config, seeds=[1, 2, 3])).items() > before.items()
    small_config["losses"]["FL"]["gamma"] = 2
    assert not set(train_keys(stacked(small_config)).values()) & set(before.values())
    small_config["losses"] |= {"FL": {"kind": "focal", "gamma": 3}, "MSE": {"kind": "mse", "kappa": 1, "beta": 15}}
    changed = train_keys(stacked(small_config, losses=["CE", "FL", "MSE"]))
    kept = {directory for directory, key in before.items() if changed[directory] == key}
    assert {directory.parts[-1] for directory in kept} == {"seed1"}, "the first stack has the members that it had"


def test_runs_that_await_a_weight_decay_are_not_stacked(small_config):
    weight_decay = {"candidates": [0.001, 0.002], "seeds": [1]}
    small_config["experiments"]["small"]["training"]["weight_decay"] = weight_decay
    with pytest.raises(InputError, match=r"^experiments.small.stack: 2; allowed with candidates for .*: 1, because"):
        stacked(small_config)
