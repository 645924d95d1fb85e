"""The command `why`."""

from __future__ import annotations

import pytest

from equal_losses.running.files import write_json

RUN = "results/runs/small/CE/width0.25/epochs7/seed1"


def why(folder, target: str) -> list[str]:
    """What the command prints below the result and the key that is wanted."""
    _, wanted, *lines = folder.command("why", target, folder.file, "--directory", str(folder.root))
    assert wanted.startswith("  wanted: ")
    return [line.strip() for line in lines]


def found(folder, target: str) -> str:
    """The result that a target is taken for."""
    return folder.command("why", target, folder.file, "--directory", str(folder.root))[0]


# What differs


def test_what_was_never_made(folder):
    assert why(folder, RUN) == ["there: none; it was never made"]


def test_what_is_there_as_it_is_wanted(folder):
    step = folder.of_run()
    folder.make(step, "run.json")
    assert folder.command("why", RUN, folder.file) == [
        step.path,
        f"  wanted: {step.key}",
        f"  there: {step.key} ({step.path}/key.json)",
        "    the same: nothing is to be done",
    ]


def test_what_is_there_with_its_key_as_its_name(folder):
    step = folder.of_run("metrics")
    folder.make(step, ".csv")
    assert why(folder, step.path) == [
        f"there: {step.key} ({folder.root / step.path}.json)",
        "the same: nothing is to be done",
    ]


def test_a_setting(folder):
    folder.make(folder.of_run(), "run.json")
    folder.config["experiments"]["small"]["training"] |= {
        "learning_rate": 0.2,
        "schedule": {"kind": "steps", "at": ["1/2"]},
    }
    there, *lines = why(folder, RUN)
    assert there.startswith("there: ")
    assert lines == [
        "setting run.learning_rate: 0.1 there, 0.2 wanted",
        'setting run.schedule.at[0]: "3/7" there, "1/2" wanted',
        'setting run.schedule.at[1]: "5/7" there, none wanted',
    ]


def test_a_setting_that_one_of_the_two_has(folder):
    folder.make(folder.of_run(loss="FL"), "run.json")
    folder.config["losses"]["FL"] = {"kind": "label_smoothing", "smoothing": 0.1}
    lines = why(folder, RUN.replace("CE", "FL"))
    assert "setting run.loss.gamma: 3 there, none wanted" in lines
    assert "setting run.loss.smoothing: none there, 0.1 wanted" in lines
    assert "code src/equal_losses/losses/focal.py: no longer used" in lines
    assert "code src/equal_losses/losses/label_smoothing.py: new" in lines


def test_a_file_of_the_code(folder):
    step = folder.of_run()
    code = {**step.ingredients["code"], "src/equal_losses/losses/cross_entropy.py": "0" * 20}
    folder.make(step, "run.json", ingredients={**step.ingredients, "code": code})
    assert why(folder, RUN)[1:] == ["code src/equal_losses/losses/cross_entropy.py: changed"]


def test_an_input(folder):
    before = folder.steps.dataset("digits").key
    folder.make(folder.of_run(), "run.json")
    folder.config["datasets"]["digits"]["split_seed"] = 5
    after = folder.steps.dataset("digits").key
    assert why(folder, RUN)[1:] == [f"input dataset: {before} there, {after} wanted"]


def test_one_of_several_inputs_of_a_table(folder):
    steps = folder.steps
    folder.make(steps.table(steps.study.experiments["small"], "runs"), ".csv")
    before = folder.of_run(loss="FL", width=0.5).key
    folder.config["losses"]["FL"]["gamma"] = 2
    after = folder.of_run(loss="FL", width=0.5).key
    lines = why(folder, "results/tables/small/runs.csv")
    assert f"input records[7]: {before} there, {after} wanted" in lines
    assert not [line for line in lines if line.startswith("input records[0]")]


def test_every_result_that_is_there_is_compared(folder):
    for gamma in (1, 2):
        folder.config["losses"]["FL"]["gamma"] = gamma
        folder.make(folder.of_run(loss="FL"), "run.json")
    folder.config["losses"]["FL"]["gamma"] = 3
    lines = why(folder, RUN.replace("CE", "FL"))
    assert len([line for line in lines if line.startswith("there: ")]) == 2
    assert {line for line in lines if line.startswith("setting")} == {
        "setting run.loss.gamma: 1 there, 3 wanted",
        "setting run.loss.gamma: 2 there, 3 wanted",
    }


def test_a_file_that_is_gone_is_to_be_made_again(folder):
    steps = folder.steps
    table = steps.table(steps.study.experiments["small"], "runs")
    folder.make(table, ".csv").unlink()
    assert "the same: nothing is to be done" not in why(folder, "results/tables/small/runs.csv")


def test_a_record_that_cannot_be_read(folder):
    step = folder.of_run()
    folder.make(step, "run.json")
    (folder.root / step.path / "key.json").write_text("{")
    (line,) = why(folder, RUN)
    assert line.startswith(f"there: {folder.root / step.path / 'key.json'}: not JSON")


def test_the_listing_of_local_files_is_no_result(folder):
    folder.config["datasets"]["digits"] = {"kind": "image_folder", "root": "photos", "size": 8}
    write_json(folder.root / "results/datasets/digits" / f"files.{'0' * 20}.json", {"cat/1.png": 10})
    assert why(folder, "results/datasets/digits") == ["there: none; it was never made"]


# What it is asked of


def test_a_result_is_named_by_its_folder_a_file_in_it_or_its_place(folder):
    run, features = folder.of_run(), folder.of_run("features")
    for target, step in [
        (run.path, run),
        (f"{run.path}/", run),
        (f"{run.path}/best.safetensors", run),
        (f"{run.path}/unfinished/snapshots", run),
        (RUN, run),
        (f"{RUN}/{'0' * 20}", run),
        (f"{features.path}/features.npz", features),
        (features.path, features),
        ("results/datasets/digits", folder.steps.dataset("digits")),
    ]:
        assert found(folder, target) == step.path, target


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("results/tables/small/runs.csv", "results/tables/small/runs"),
        ("results/figures/small/nc_evolution.pdf", "results/figures/small/nc_evolution"),
        ("results/figures/small/nc_evolution", "results/figures/small/nc_evolution"),
        ("results/studies/small/claims.csv", "results/studies/small/claims"),
        ("results/studies/small/report.html", "results/studies/small/report"),
        ("results/studies/small/theory/tables/minima.csv", "results/studies/small/theory/tables/minima"),
    ],
)
def test_a_result_with_a_name_of_its_own_is_named_by_its_file(folder, target, path):
    assert found(folder, target) == path


@pytest.mark.parametrize("suffix", [".csv", ".json", ".log", ""])
def test_metrics_are_named_by_their_file_inside_of_the_runs_folder(folder, suffix):
    step = folder.of_run("metrics")
    assert found(folder, f"{step.path}{suffix}") == step.path


@pytest.mark.parametrize("part", ["features", "metrics"])
def test_what_is_measured_of_a_run_is_named_by_its_folder_without_a_key(folder, part):
    step = folder.of_run(part)
    assert found(folder, step.path.rpartition("/")[0]) == step.path


def test_a_file_in_a_superseded_folder_names_what_superseded_it(folder):
    assert found(folder, f"{RUN}/{'0' * 20}/run.json") == folder.of_run().path


def test_a_path_may_begin_with_a_dot(folder):
    assert found(folder, f"./{RUN}") == folder.of_run().path


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("results/figures/small/nc_evolutoin.pdf", " (did you mean results/figures/small/nc_evolution?)"),
        (RUN.replace("seed1", "seed2"), f" (did you mean {RUN}?)"),
        ("nothing/like/it", ""),
    ],
)
def test_a_misspelt_target_is_one_line_and_status_2(folder, target, hint):
    line = folder.refused("why", target, folder.file)
    assert line == f"{target}: no result of this study{hint}; expected a path below results/"


@pytest.mark.parametrize("target", [".", "/", "", "results"])
def test_a_folder_of_all_results_is_one_line_and_status_2(folder, target):
    assert folder.refused("why", target, folder.file).startswith(f"{target}: no result of this study")


def test_the_study_is_the_demo_unless_another_one_is_given(folder):
    place = "results/stacks/demo/stack1/width0.5/epochs140"
    assert folder.command("why", place)[0].startswith(f"{place}/")
