"""Whether something is to be done is whether it is there: with and without Snakemake's metadata, here and elsewhere."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Workflow, edit

FOCAL = {"train_trunk": 2, "train": 4, "extract_features": 4, "nc_metrics": 4}
# What comes of any change of a run: the tables, all figures, claims and page.
SUMMARY = {"collect": 1, "table": 2, "align_features": 1, "figure": 11, "claims": 1, "page": 1, "all": 1}
THEORY = {"theory_tables": 1, "theory_figure": 8}


@pytest.fixture(params=["with metadata", "without metadata"])
def copied(finished, tmp_path, request) -> Workflow:
    """The finished study in another folder."""
    return finished.copy(tmp_path, metadata=request.param == "with metadata")


def test_a_copy_has_nothing_to_do(copied):
    assert copied.planned() == {}


def test_another_gamma_is_the_focal_loss_and_back_again_nothing(copied):
    copied.config["losses"]["FL"]["gamma"] = 2
    assert copied.planned() == FOCAL | SUMMARY | THEORY
    copied.config["losses"]["FL"]["gamma"] = 3
    assert copied.planned() == {}


def test_time_stamps_do_not_count(finished, tmp_path):
    copy = finished.copy(tmp_path)
    files = sorted(path for path in copy.results.rglob("*") if path.is_file())
    for place, path in enumerate(np.random.default_rng(0).permutation(files)):
        os.utime(path, (10**9 + place, 10**9 + place))
    assert copy.planned() == {}


def test_results_may_be_reached_by_a_link(finished, tmp_path):
    (tmp_path / "results").symlink_to(finished.results)
    assert Workflow(tmp_path, finished.config).planned() == {}


def test_there_and_back_trains_once(study):
    """A change of the focal loss that is run, and taken back."""
    study.config["losses"]["FL"]["gamma"] = 2
    target = "results/tables/small/runs.csv"
    before = (study.directory / target).read_bytes()
    study.run(target)
    assert (study.directory / target).read_bytes() != before
    study.config["losses"]["FL"]["gamma"] = 3
    shutil.rmtree(study.directory / ".snakemake")
    assert not set(study.planned()) & {"train", "train_trunk", "extract_features", "nc_metrics"}
    study.run(target)
    assert (study.directory / target).read_bytes() == before
    study.config["losses"]["FL"]["gamma"] = 2
    assert "train" not in study.planned(target)


def test_one_more_budget_beside_finished_runs_is_its_trunk_and_its_runs(copied):
    copied.config["experiments"]["small"]["epochs"] = [3, 7, 9]
    planned = copied.planned()
    new = {"train": 4, "extract_features": 4, "nc_metrics": 4}
    assert {rule: planned[rule] for rule in new} == new
    assert planned["train_trunk"] == 8, "to the first decay of three epochs, and from there to that of seven"


def test_a_deleted_figure_is_drawn_again(copied):
    copied.found("figures/small/test_accuracy.pdf").unlink()
    assert copied.planned("results/figures/small/test_accuracy.pdf") == {"figure": 1}
    assert set(copied.planned()) <= {"figure", "page", "all"}


def test_a_deleted_table_is_made_again(copied):
    copied.found("tables/small/runs.csv").unlink()
    assert copied.planned("results/tables/small/runs.csv") == {"collect": 1}
    assert "collect" in copied.planned()


def test_a_figure_is_what_it_needs_and_no_more(finished, tmp_path):
    planned = Workflow(tmp_path, finished.config).planned("results/figures/small/alignment_cka.pdf")
    largest = {"train": 2, "align_features": 1, "figure": 1}
    assert {rule: planned[rule] for rule in largest} == largest
    assert "nc_metrics" not in planned


def test_a_changed_metric_trains_nothing_and_is_in_the_tables(edited):
    edit(edited.root / "src/equal_losses/metrics/collapse.py", '"nc1": ', '"one": 1.0, "nc1": ')
    assert not set(edited.planned()) & {"train", "train_trunk"}
    edited.run("results/tables/small/runs.csv")
    assert ",one," in edited.found("tables/small/runs.csv").read_text().splitlines()[0]


def test_without_snapshots_a_changed_metric_trains_again(workflow, tmp_path_factory):
    workflow.config["experiments"]["small"] |= {"losses": ["CE"], "widths": [0.25], "keep_snapshots": False}
    table = "results/tables/small/runs.csv"
    workflow.run(table)
    assert not list(workflow.results.rglob("snapshots.safetensors"))
    assert workflow.planned(table) == {}
    workflow.config["experiments"]["small"]["augmented_features"] = True
    assert workflow.planned(table)["train"] == 2


def test_a_second_study_leaves_the_first_one_alone(study):
    first = {path: path.read_bytes() for path in study.results.rglob("*") if path.is_file()}
    del first[study.results / "studies/index.html"]  # that of all studies
    small = study.config["experiments"].pop("small")
    study.config |= {"name": "second", "losses": {"CE": {"kind": "cross_entropy"}}}
    study.config["experiments"]["other"] = small | {"losses": ["CE"], "widths": [0.25], "epochs": [3], "figures": []}
    study.run()
    assert {path: path.read_bytes() for path in first} == first
    assert study.found("studies/second/report.html") and study.found("studies/small/report.html")
    assert Workflow(study.directory, json.loads(json.dumps(study.config))).planned() == {}


# What is read is checked


def remade(study: Workflow, pattern: str) -> None:
    """Remove a result, so that a job reads again what it was made from."""
    for path in study.results.glob(pattern):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_flipped_byte_of_the_images_is_one_line(study):
    flip(study.found("datasets/digits/*/images_train.npy"))
    remade(study, "tables/small/alignment.csv")
    assert "images_train.npy: changed since it was written" in study.refused("results/tables/small/alignment.csv")


def test_features_of_another_loss_are_one_line(study):
    ours, theirs = (
        study.found(f"runs/small/{loss}/width0.5/epochs7/seed1/*/features/*/features.npz") for loss in ("CE", "FL")
    )
    shutil.copy(theirs, ours)
    remade(study, "runs/small/CE/width0.5/epochs7/seed1/*/nc_metrics")
    target = str(study.folder("small/CE/width0.5/epochs7/seed1").relative_to(study.directory))
    metrics = next(path for path in study.steps().by_path if path.startswith(f"{target}/nc_metrics"))
    assert "features.npz: changed since it was written" in study.refused(f"{metrics}.csv")


def test_an_edited_table_is_one_line(study):
    edit(study.found("tables/small/runs.csv"), "CE", "XE")
    remade(study, "figures/small/seed_variance.p*")
    assert "runs.csv: changed since it was written" in study.refused("results/figures/small/seed_variance.pdf")


def test_metrics_that_were_edited_are_one_line(study):
    metrics = study.found("runs/small/CE/width0.5/epochs7/seed1/*/nc_metrics/*.csv")
    metrics.write_text(metrics.read_text().replace("1", "2"))
    remade(study, "tables/small/runs.csv")
    assert f"{metrics.name}: changed since it was written" in study.refused("results/tables/small/runs.csv")


def test_the_record_of_another_run_is_one_line(study):
    ours, theirs = (study.found(f"runs/small/{loss}/width0.5/epochs7/seed1/*/run.json") for loss in ("CE", "FL"))
    shutil.copy(theirs, ours)
    remade(study, "tables/small/runs.csv")
    assert "run.json: changed since it was written" in study.refused("results/tables/small/runs.csv")


def test_the_folder_of_another_run_is_one_line(study):
    ours, theirs = (study.found(f"runs/small/{loss}/width0.5/epochs7/seed1/*") for loss in ("CE", "FL"))
    shutil.copytree(theirs, ours, dirs_exist_ok=True)
    remade(study, "tables/small/runs.csv")
    assert "made of other settings, code or inputs" in study.refused("results/tables/small/runs.csv")


# The keys know everything that jobs import


def imported_unknown(record: dict) -> set[str]:
    """Modules that a job imported and that neither count for its key nor are neutral."""
    counted = {
        name.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in record["code"]
    }
    return {name for name in record["modules"] if name not in counted and not name.startswith("equal_losses.running")}


def test_every_module_that_a_job_imports_counts_for_its_key(finished):
    watched = [json.loads(path.read_text()) for path in (finished.directory / "watched").glob("*.json")]
    rules = {record["rule"] for record in watched}
    assert rules > {"prepare_dataset", "train_trunk", "train", "extract_features", "nc_metrics", "collect", "page"}
    assert {record["rule"]: unknown for record in watched if (unknown := imported_unknown(record))} == {}


def test_a_module_that_is_imported_behind_the_back_of_the_key_is_found(edited):
    watched = edited.directory / "watched"
    watched.mkdir()
    script = edited.root / "workflow/scripts/nc_metrics.py"
    hidden = '__import__("importlib").import_module("equal_losses.statistics." + "tuning")'
    edit(script, "    from equal_losses.statistics", f"    {hidden}\n    from equal_losses.statistics")
    folder = edited.folder("small/CE/width0.5/epochs7/seed1").relative_to(edited.directory)
    metrics = next(path for path in edited.steps().by_path if path.startswith(f"{folder}/nc_metrics"))
    watch = str(Path(__file__).parent / "watch")
    edited.run(f"{metrics}.csv", PYTHONPATH=watch, WATCHED=str(watched))
    (record,) = (json.loads(path.read_text()) for path in watched.glob("*.json"))
    assert imported_unknown(record) == {"equal_losses.statistics.tuning"}


def test_the_record_says_in_words_what_a_result_is_made_of(finished):
    record = json.loads((finished.folder("small/FL/width0.5/epochs7/seed1") / "key.json").read_text())
    assert record["settings"]["run"]["loss"] == {"kind": "focal", "gamma": 3, "reduction": "mean"}
    assert "src/equal_losses/losses/focal.py" in record["code"]
    assert record["inputs"] == {"dataset": finished.found("datasets/digits/*").name}
    assert set(record["files"]) == {
        "history.csv",
        "best.safetensors",
        "final.safetensors",
        "snapshots.safetensors",
        "run.json",
    }
