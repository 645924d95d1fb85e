"""The steps of a study: what their keys depend on, where their results are and what they read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from equal_losses.page import content
from equal_losses.running import records
from equal_losses.study import keys, kinds
from equal_losses.study.grid import CHOSEN, Run, Stack, Study
from equal_losses.study.keys import Steps
from equal_losses.study.step import Step

from .studies import CODE, SHIPPED, put, run_of, shipped, steps_of

SMALL = "experiments.small"
TRAINING = f"{SMALL}.training"


def after(config: dict, path: str, value: object) -> Steps:
    """The steps once a value is put in its place."""
    return steps_of(put(config, path, value))


def of_loss(steps: Steps, loss: str) -> dict[str, str]:
    """Keys of everything that is made of one run, and of what is made of all runs."""
    run = run_of(steps, loss)
    experiment = run.experiment
    made = {"run": steps.run(run), "features": steps.features(run), "metrics": steps.metrics(run)}
    made |= {name: steps.table(experiment, name) for name in ("runs", "alignment", "equivalence")}
    made |= {"figure": steps.figure(experiment, "nc_evolution"), "claims": steps.claims, "page": content.step(steps)}
    return {name: step.key for name, step in made.items()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


EVERYTHING = {"run", "features", "metrics", "runs", "alignment", "equivalence", "figure", "claims", "page"}


# What a key depends on


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("losses.CE.reduction", "sum"),
        (f"{SMALL}.network.stem_stride", 2),
        (f"{SMALL}.snapshots", 4),
        (f"{TRAINING}.batch_size", 99),
        (f"{TRAINING}.learning_rate", 0.2),
        (f"{TRAINING}.optimizer", {"kind": "sgd", "momentum": 0.8}),
        (f"{TRAINING}.optimizer", {"kind": "adam"}),
        (f"{TRAINING}.weight_decay", 0.1),
        (f"{TRAINING}.schedule", {"kind": "steps", "at": ["1/2"]}),
        (f"{TRAINING}.schedule", {"kind": "steps", "factor": 0.2}),
        (f"{TRAINING}.schedule", {"kind": "steps", "shift": -1}),
        (f"{TRAINING}.schedule", {"kind": "cosine"}),
        (f"{TRAINING}.clip_norm", None),
        (f"{TRAINING}.precision", "tf32"),
        (f"{TRAINING}.crop_padding", 2),
        (f"{TRAINING}.flip", False),
        (f"{TRAINING}.normalization", {"mean": [0.5], "std": [0.5]}),
        ("datasets.digits.split_seed", 1),
        ("datasets.digits.stratified", False),
        ("datasets.digits.validation_fraction", 0.3),
        ("datasets.digits.test_fraction", 0.3),
    ],
)
def test_what_a_training_uses_makes_it_another_one_and_all_that_is_made_of_it(small_config, path, value):
    before = of_loss(steps_of(small_config), "CE")
    assert changed(before, of_loss(after(small_config, path, value), "CE")) == EVERYTHING


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("losses.FL.gamma", 2),
        ("losses.LS", {"kind": "label_smoothing", "smoothing": 0.1}),
        (f"{SMALL}.seeds", [3, 1]),
        (f"{SMALL}.losses", ["FL", "CE"]),
        (f"{SMALL}.epochs", [3, 7, 14]),
        (f"{SMALL}.widths", [0.25, 2]),
        (f"{SMALL}.share_trunk", False),
        (f"{SMALL}.keep_snapshots", False),
        (f"{SMALL}.augmented_features", True),
        (f"{SMALL}.figures", ["overview"]),
        ("compute", {"device": "cpu", "threads": 2, "checkpoint_minutes": 0, "compile": True, "cuda_graphs": True}),
        ("evidence", {"margin": 0.2, "nc1": 1}),
        ("theory.descent.iterations", 100),
    ],
)
def test_what_a_training_does_not_use_leaves_it_as_it_is(small_config, path, value):
    before = of_loss(steps_of(small_config), "CE")
    assert "run" not in changed(before, of_loss(after(small_config, path, value), "CE"))


def test_how_test_images_are_normalised_is_for_features_to_know(small_config):
    before = of_loss(steps_of(small_config), "CE")
    now = of_loss(after(small_config, f"{TRAINING}.test_normalization", {"mean": [0.5], "std": [0.5]}), "CE")
    assert changed(before, now) == EVERYTHING - {"run"}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("losses.FL.gamma", 2, EVERYTHING - {"run", "features", "metrics"}),
        (f"{SMALL}.augmented_features", True, EVERYTHING - {"run", "alignment"}),
        (f"{SMALL}.keep_snapshots", False, set()),
        (f"{SMALL}.share_trunk", False, set()),
        ("compute.threads", 2, set()),
        ("evidence.nc1", 1, {"claims", "page"}),
        ("evidence.margin", 0.2, {"equivalence", "claims", "page"}),
        ("theory.descent.iterations", 100, {"claims", "page"}),
        (f"{SMALL}.figures", ["overview"], {"page"}),
    ],
)
def test_a_change_reaches_what_is_made_of_it_alone(small_config, path, value, expected):
    before = of_loss(steps_of(small_config), "CE")
    assert changed(before, of_loss(after(small_config, path, value), "CE")) == expected


def test_a_table_knows_every_run(small_config):
    before = of_loss(steps_of(small_config), "CE")
    assert "runs" in changed(before, of_loss(after(small_config, f"{SMALL}.seeds", [1, 2]), "CE"))


def test_the_name_of_a_study_is_in_no_key(small_config):
    before = {step.key for step in steps_of(small_config)._all()}
    assert {step.key for step in after(small_config, "name", "other")._all()} == before


@pytest.mark.parametrize("name", ["experiment", "dataset", "loss"])
def test_a_name_is_in_no_key_of_a_run(small_config, name):
    def keys_of_run() -> list[str]:
        steps = steps_of(small_config)
        run = next(iter(steps.study.experiments.values())).runs[-1]
        found = (steps.run(run), steps.trunk(run.trunk), steps.features(run), steps.metrics(run))
        return [steps.dataset(run.experiment.dataset).key, *(step.key for step in found)]

    before = keys_of_run()
    if name == "experiment":
        small_config["experiments"]["other"] = small_config["experiments"].pop("small")
    elif name == "dataset":
        small_config["datasets"]["other"] = small_config["datasets"].pop("digits")
        put(small_config, f"{SMALL}.dataset", "other")
    else:
        small_config["losses"]["other"] = small_config["losses"].pop("FL")
        put(small_config, f"{SMALL}.losses", ["CE", "other"])
    assert keys_of_run() == before


def test_the_order_in_which_options_are_written_does_not_matter(small_config):
    before = of_loss(steps_of(small_config), "FL")
    put(small_config, "losses.FL", dict(reversed(small_config["losses"]["FL"].items())))
    put(small_config, TRAINING, dict(reversed(small_config["experiments"]["small"]["training"].items())))
    assert of_loss(steps_of(small_config), "FL") == before


@pytest.mark.parametrize(
    ("path", "one", "same"),
    [("losses.FL.gamma", 3, 3.0), (f"{TRAINING}.clip_norm", 2, "2"), (f"{TRAINING}.weight_decay", 5e-4, "5e-4")],
)
def test_a_number_is_the_same_however_it_is_written(small_config, path, one, same):
    assert of_loss(after(small_config, path, one), "FL") == of_loss(after(small_config, path, same), "FL")


def test_a_default_is_the_same_written_or_not(small_config):
    before = of_loss(steps_of(small_config), "CE")
    assert of_loss(after(small_config, f"{TRAINING}.optimizer", {"kind": "sgd", "momentum": 0.9}), "CE") == before


@pytest.mark.parametrize(("with_mse", "missing"), [(False, {"bias"}), (True, set())])
def test_figures_of_the_theory_are_drawn_where_there_is_something_on_them(small_config, with_mse, missing):
    if with_mse:
        put(small_config, "losses.MSE", {"kind": "mse", "kappa": 1, "beta": 15})
    drawn = {step.settings["figure"] for step in steps_of(small_config).theory_figures}
    assert {*kinds.kinds("figures.theory")} - drawn == missing


# The code


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (lambda steps, run: steps.dataset("digits"), ("datasets", "digits")),
        (lambda steps, run: steps.run(run), ("losses", "cross_entropy")),
        (lambda steps, run: steps.run(run), ("networks", "small_resnet")),
        (lambda steps, run: steps.trunk(run.trunk), ("losses", "cross_entropy")),
        (lambda steps, run: steps.features(run), ("networks", "small_resnet")),
        (lambda steps, run: steps.table(run.experiment, "alignment"), ("networks", "small_resnet")),
        (lambda steps, run: steps.figure(run.experiment, "overview"), ("figures.experiment", "overview")),
        (lambda steps, run: steps.theory_figure("focal_tie"), ("figures.theory", "focal_tie")),
        (lambda steps, run: steps.theory_table("statements"), ("losses", "focal")),
        (lambda steps, run: steps.theory_table("minima"), ("theory.steps", "definition")),
    ],
)
def test_the_kinds_that_a_step_loads_are_part_of_its_code(small_config, step, kind):
    steps = steps_of(small_config)
    assert kinds.source(*kind) in step(steps, run_of(steps)).ingredients["code"]


def test_a_kind_is_part_of_the_code_of_no_step_that_does_not_load_it(small_config):
    steps = steps_of(small_config)
    focal = kinds.source("losses", "focal")
    run = run_of(steps, "CE")
    made = (steps.run(run), steps.trunk(run.trunk), steps.features(run))
    assert not [step.path for step in made if focal in step.ingredients["code"]]


@pytest.mark.parametrize("files", SHIPPED)
def test_the_packages_of_all_files_of_a_steps_code_are_part_of_it(files):
    missing = set()
    for code in {tuple(step.ingredients["code"]) for step in all_steps(files)}:
        for path in map(Path, code):
            packages = [parent for parent in path.parents if Path("src") in parent.parents]
            missing |= {(str(path), str(each)) for each in packages if f"{each}/__init__.py" not in code}
    assert not missing


# Trunks


def test_a_trunk_is_read_but_counts_for_nothing(small_config):
    alone = steps_of(put(small_config, f"{SMALL}.share_trunk", False))
    sharing = steps_of(put(small_config, f"{SMALL}.share_trunk", True))
    step = sharing.run(run_of(sharing))
    assert step.path == alone.run(run_of(alone)).path
    assert step.inputs["trunk"].paths == [
        f"{sharing.trunk(run_of(sharing).trunk).path}/{name}"
        for name in ("state.safetensors", "snapshots.safetensors", "key.json")
    ]
    assert "trunk" not in step.ingredients["inputs"]
    assert "trunk" not in alone.run(run_of(alone)).inputs


def test_a_trunk_goes_on_from_the_one_before(small_config):
    steps = after(small_config, f"{SMALL}.epochs", [3, 7, 14])
    last, first = run_of(steps, epochs=14).trunks
    assert steps.trunk(last).sources[-1] == steps.trunk(first)
    assert not [source for source in steps.trunk(first).sources if "/trunks/" in source.path]


def make(step: Step, root: Path, *names: str) -> None:
    """Write files of a step's result, and its record."""
    for name in names:
        (root / step.file(name)).parent.mkdir(parents=True, exist_ok=True)
        (root / step.file(name)).write_text(name)
    records.seal([root / step.file(name) for name in names], step.ingredients)


@pytest.mark.parametrize(
    ("there", "awaited"),
    [((), True), (("run",), True), (("run", "snapshots"), False), (("run", "features"), False)],
    ids=["nothing", "a run whose snapshots are gone", "a run and its snapshots", "a run and its features"],
)
def test_a_trunk_is_awaited_by_what_is_yet_to_be_trained(small_config, tmp_path, there, awaited):
    steps = steps_of(small_config, root=tmp_path)
    run, step = run_of(steps), steps.run(run_of(steps))
    if "run" in there:
        make(step, tmp_path, "run.json", *(["snapshots.safetensors"] if "snapshots" in there else []))
    if "features" in there:
        make(steps.features(run), tmp_path, "features.npz")
    again = steps_of(small_config, root=tmp_path)
    assert ("trunk" in again.run(run_of(again)).inputs) == awaited
    assert again.run(run_of(again)).key == step.key


# Tuned weight decays


@pytest.fixture
def tuned(small_config) -> Steps:
    put(small_config, f"{TRAINING}.weight_decay", {"candidates": [0.001, 0.01], "seeds": [1]})
    return after(small_config, f"{SMALL}.seeds", [1, 2])


def test_a_candidate_is_the_run_that_has_its_weight_decay(small_config):
    put(small_config, f"{TRAINING}.weight_decay", {"candidates": [0.001, 0.01], "seeds": [1]})
    steps = steps_of(small_config)
    candidate = steps.training(run_of(steps).sources[1])
    assert candidate.path.startswith("results/tuning/small/CE/width0.25/epochs7/seed1/weight_decay0.01/")
    steps = after(small_config, f"{TRAINING}.weight_decay", 0.01)
    assert steps.run(run_of(steps)).key == candidate.key


def test_a_candidate_for_the_learning_rate_is_the_run_that_has_it(small_config):
    put(small_config, f"{TRAINING}.learning_rate", {"candidates": [0.1, 0.01], "seeds": [1]})
    steps = steps_of(small_config)
    candidate = steps.training(run_of(steps).sources[1])
    assert candidate.path.startswith("results/tuning/small/CE/width0.25/epochs7/seed1/learning_rate0.01/")
    assert steps.choice(run_of(steps).choice).settings == {"tuned": "learning_rate"}
    assert steps.run(run_of(steps)).settings == {"candidates": [{"learning_rate": 0.1}, {"learning_rate": 0.01}]}
    steps = after(small_config, f"{TRAINING}.learning_rate", 0.01)
    assert steps.run(run_of(steps)).key == candidate.key


def test_a_tuned_run_is_linked_to_the_chosen_one_of_its_candidates(tuned):
    run = run_of(tuned)
    step = tuned.run(run)
    assert step.settings == {"candidates": [{"weight_decay": 0.001}, {"weight_decay": 0.01}]}
    assert step.inputs["sources"].paths == [f"{tuned.training(source).path}/key.json" for source in run.sources]
    assert step.inputs["choice"].paths == [f"{tuned.choice(run.choice).path}/choice.json"]


def test_what_is_trained_at_another_seed_awaits_the_choice_and_depends_on_it(tuned):
    run = run_of(tuned, seed=2)
    (source,) = run.sources
    step = tuned.training(source)
    assert source.candidate == CHOSEN
    assert step.inputs["choice"].paths == [f"{tuned.choice(run.choice).path}/choice.json"]
    assert step.ingredients["inputs"]["choice"] == tuned.choice(run.choice).key
    assert tuned.run(run).settings == {"candidates": [{"weight_decay": CHOSEN}]}
    assert "choice" not in tuned.run(run).inputs


def test_a_choice_depends_on_every_candidate(tuned):
    run = run_of(tuned)
    step = tuned.choice(run.choice)
    assert step.inputs["records"].paths == [f"{tuned.training(each).path}/run.json" for each in run.choice.candidates]
    assert step.ingredients["inputs"]["records"] == [tuned.training(each).key for each in run.choice.candidates]


def test_features_of_a_tuned_run_are_linked_as_the_run_is(tuned):
    run = run_of(tuned)
    step = tuned.features(run)
    assert step.path.startswith(f"{tuned.run(run).path}/features/")
    assert step.settings == tuned.run(run).settings
    assert step.sources[1:-1] == [tuned.features(source) for source in run.sources]


# Stacks


def stacked(config: dict, **options) -> Steps:
    config["experiments"]["small"] |= {"seeds": [1, 2], "stack": 2, **options}
    return steps_of(config)


def keys_by_run(steps: Steps) -> dict[tuple, str]:
    runs = steps.study.experiments["small"].runs
    return {(run.loss, run.width, run.epochs, run.seed): steps.run(run).key for run in runs}


def test_the_runs_of_a_stack_are_in_folders_of_their_own_below_it(small_config):
    steps = stacked(small_config)
    run = run_of(steps, "FL", seed=2)
    step = steps.training(run.training)
    assert step.path.startswith("results/stacks/small/stack2/width0.25/epochs7/")
    assert steps.run(run).path == f"{step.path}/FL/seed2"
    assert steps.run(run).key == step.key


def test_the_runs_of_a_stack_are_measured_as_one(small_config):
    steps = stacked(small_config)
    stack = run_of(steps, "FL", seed=2).training
    metrics = steps.metrics(stack)
    folder = steps.features(stack).path
    assert metrics.inputs["features"].paths == [f"{folder}/{loss}/seed2/features.npz" for loss in ("CE", "FL")]


def test_in_a_stack_a_run_depends_on_the_others_in_it_alone(small_config):
    alone = keys_by_run(stacked(small_config, stack=1))
    before = keys_by_run(stacked(small_config))
    assert not {*alone.values()} & {*before.values()}
    assert not {*keys_by_run(stacked(small_config, stack=4)).values()} & {*before.values()}
    assert keys_by_run(stacked(small_config, seeds=[1, 2, 3])).items() > before.items()
    put(small_config, "losses.MSE", {"kind": "mse", "kappa": 1, "beta": 15})
    wider = keys_by_run(stacked(small_config, losses=["CE", "FL", "MSE"]))
    kept = {point for point, key in before.items() if wider[point] == key}
    assert {seed for *_, seed in kept} == {1}, "the first stack has the members that it had"
    put(small_config, "losses.FL.gamma", 2)
    assert not {*keys_by_run(stacked(small_config, losses=["CE", "FL"])).values()} & {*before.values()}


def test_a_stack_awaits_its_trunk_until_it_is_trained(small_config, tmp_path):
    def step() -> Step:
        steps = Steps(Study(small_config), CODE, tmp_path, {})
        return steps.training(run_of(steps).training)

    small_config["experiments"]["small"]["stack"] = 2
    assert "trunk" in step().inputs
    make(step(), tmp_path, "snapshots.safetensors")
    assert "trunk" not in step().inputs


# Paths


@pytest.mark.parametrize("widths", [[0.33333333, 0.3333333], [0.5, 0.500000001], [1e-05, 1.00000001e-05]])
def test_widths_that_differ_do_not_share_a_folder(small_config, widths):
    steps = after(small_config, f"{SMALL}.widths", widths)
    (experiment,) = steps.study.experiments.values()
    folders = {Path(steps.run(run).path).parents[2].name: run.width for run in experiment.runs}
    assert {name: float(name.removeprefix("width")) for name in folders} == folders
    assert [*folders.values()] == widths


@pytest.mark.parametrize("candidates", [[0.000316227766, 0.0003162278], [1e-05, 0.0001234561, 0.0001234562]])
def test_candidates_that_differ_do_not_share_a_folder(small_config, candidates):
    steps = after(small_config, f"{TRAINING}.weight_decay", {"candidates": candidates, "seeds": [1]})
    sources = run_of(steps).sources
    folders = [Path(steps.training(source).path).parent.name for source in sources]
    assert [float(name.removeprefix("weight_decay")) for name in folders] == candidates
    assert [source.settings["weight_decay"] for source in sources] == candidates
    trunks = [Path(steps.training(source).inputs["trunk"].paths[0]).parents[2].name for source in sources]
    assert trunks == folders


@cache
def all_steps(files: str) -> list[Step]:
    """Every step of a shipped study, each once."""
    steps = steps_of(shipped(files))
    unique = {id(step): step for step in [*steps._all(), content.step(steps)]}
    return [*unique.values()]


@pytest.mark.parametrize("files", SHIPPED)
def test_every_step_has_a_path_of_its_own_whatever_its_key(files):
    places = [step.place for step in all_steps(files)]
    assert len(places) == len(set(places)) > 20


def made_by(step: Step) -> Callable[[str], bool]:
    """Whether the step's rule makes a file of this name."""
    script = next(path for path in step.ingredients["code"] if path.startswith(keys.SCRIPTS)).split("/")[-1]
    run = {"history.csv", "best.safetensors", "final.safetensors", "run.json"}
    trained = {"state.safetensors"} if "/trunks/" in step.path else run
    names = {
        "prepare_dataset.py": set(keys.DATASET_FILES),
        "train.py": trained | {"snapshots.safetensors"},
        "train_stack.py": trained | {"snapshots.safetensors"},
        "choose_candidate.py": {"choice.json"},
        "extract_features.py": {"features.npz"},
        "link.py": {"features.npz"} if "/features/" in step.path else run,
        "figure.py": {".pdf", ".png"},
    }.get(script, {".csv"})
    return (names | ({"key.json"} if step.is_keyed else set())).__contains__


def inputs_of(steps: list[Step]) -> Iterator[tuple[Step, str, str]]:
    """Every input of these steps: the step that it is of, the name of the file, and the key that is expected."""
    for step in steps:
        for files in step.inputs.values():
            for source in files.steps:
                for name in files.names:
                    yield source, name, source.key


@pytest.mark.parametrize("files", SHIPPED)
def test_every_input_is_a_file_that_a_step_makes(files):
    """In its folder, or in a stack, as of the demo, in that of one of the runs."""
    steps = all_steps(files)
    wanted = {step.path: step.key for step in steps}
    stacks = [step for step in steps if isinstance(step.subject, Stack)]
    wanted |= {f"{step.path}/{run.name}": step.key for step in stacks for run in step.subject.members}
    for step, name, key in inputs_of(steps):
        assert wanted.get(step.path) == key, step.path
        assert made_by(step)(name), f"{step.path}: {name}"


# What a job is told


def test_a_job_is_told_the_key_of_every_file_that_it_reads(tuned):
    for step in tuned._all():
        told = step.for_job(Path())["inputs"]
        assert {name: [path for path, _ in checked] for name, checked in told.items()} == {
            name: files.paths for name, files in step.inputs.items()
        }
        for path, key in chain(*told.values()):
            assert key in path or records.record_of(path, key) == Path(path).with_suffix(".json")


def test_a_rule_that_reads_runs_of_a_stack_names_the_record_of_the_stack(small_config):
    steps = stacked(small_config)
    stack = run_of(steps, "FL", seed=2).training
    read = steps.metrics(stack).inputs["features"]
    assert len(read.paths) == 2
    assert read.outputs == [f"{steps.features(stack).path}/key.json"]


def test_what_counts_of_the_inputs_are_their_keys(tuned):
    for step in tuned._all():
        counted = {name: files.keys for name, files in step.inputs.items() if name != "trunk"}
        assert step.ingredients["inputs"] == counted


def test_a_job_that_reads_a_file_of_a_step_finds_its_record(small_config, tmp_path):
    steps = steps_of(small_config, root=tmp_path)
    for step, name in (
        (steps.run(run_of(steps)), "run.json"),
        (steps.metrics(run_of(steps)), ".csv"),
        (steps.claims, ".csv"),
    ):
        make(step, tmp_path, name)
        records.check(tmp_path / step.file(name), step.key)


def test_steps_are_found_by_their_paths_and_keys(small_config):
    steps = steps_of(small_config)
    step = steps.run(run_of(steps))
    assert steps.by_path[step.path] == steps.by_key[step.key] == step
    assert isinstance(step.subject, Run)
