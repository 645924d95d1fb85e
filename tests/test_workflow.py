"""The workflow through Snakemake itself: one small study to its figures, and what runs when."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml
from neural_collapse import configuration
from neural_collapse.study import Study

from . import tiny_datasets
from .conftest import ROOT, Workflow

FIGURES = (
    *("nc_evolution", "nc_evolution_centered", "accuracy_evolution", "test_accuracy", "accuracy_gap", "seed_variance"),
    *("equivalence", "collapse_and_accuracy", "alignment_cka", "alignment_procrustes", "overview"),
)


def test_the_demo_plans_the_jobs_that_its_grid_needs(tmp_path):
    demo = Workflow(tmp_path, yaml.safe_load((ROOT / "config" / "demo.yaml").read_text()))
    assert demo.planned() == {
        "prepare_dataset": 1,
        "train_stem": 16,  # 4 losses x 2 widths x 2 seeds, shared by 2 budgets
        "train": 32,
        "extract_features": 32,
        "nc_metrics": 32,
        "align_features": 1,
        "collect": 1,
        "evidence": 1,
        "figure": 11,
        "all": 1,
    }


def test_the_default_study_is_the_demo_and_another_study_is_not_mixed_with_it(workflow):
    assert "results/figures/demo" not in workflow.run("--dry-run").stdout
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "1", "--dry-run"]
    result = subprocess.run(command, cwd=workflow.directory, capture_output=True, text=True, check=True)
    assert "results/figures/demo/nc_evolution.pdf" in result.stdout


def test_what_frees_states_and_snapshots_goes_first(workflow):
    """So that on one device those of one loss and seed are gone before the next begins (cost.Cost.disk_temporary)."""
    workflow.config["experiments"]["small"]["epochs"] = [3, 5, 7]  # leave stems at epochs 1 and 2
    priorities = {}
    for block in re.split(r"^\[.*\]$", workflow.run("--dry-run").stdout, flags=re.MULTILINE):
        rule = re.search(r"^rule (train_stem|train|extract_features):", block, re.MULTILINE)
        if rule:
            to = re.search(r", to=(\d+)", block)
            priority = re.search(r"^ +priority: (\d+)", block, re.MULTILINE)
            name = rule[1] + (f" to {to[1]}" if to else "")
            priorities.setdefault(name, set()).add(int(priority[1]) if priority else 0)
    order = ["train_stem to 1", "train_stem to 2", "train", "extract_features"]
    assert sorted(priorities) == sorted(order)
    assert [priorities[name] for name in order] == [{0}, {1}, {2}, {3}]


def test_a_study_ends_with_its_figures_tables_and_records(finished):
    results = finished.directory / "results"
    for figure in FIGURES:
        assert (results / "figures" / "small" / f"{figure}.pdf").read_bytes().startswith(b"%PDF")
        assert (results / "figures" / "small" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    runs = pd.read_csv(results / "tables" / "small" / "runs.csv")
    assert len(runs) == 8
    assert runs.notna().all(axis=None)
    trajectories = pd.read_csv(results / "tables" / "small" / "trajectories.csv")
    assert sorted(trajectories[trajectories["epochs"] == 7]["epoch"].unique()) == [0, 2, 5, 7]
    record = json.loads((results / "runs/small/FL/width0.5/epochs7/seed1/run.json").read_text())
    assert record["settings"]["loss"] == {"kind": "focal", "gamma": 3, "reduction": "mean"}
    assert record["versions"].keys() >= {"torch", "python", "numpy"}


def test_only_what_is_worth_keeping_is_kept(finished):
    results = finished.directory / "results"
    run = results / "runs/small/CE/width0.25/epochs7/seed1"
    assert {path.name for path in run.iterdir() if path.suffix != ".log"} == {
        "best.safetensors",
        "features.npz",
        "final.safetensors",
        "history.csv",
        "nc_metrics.csv",
        "run.json",
    }
    assert not list(results.rglob("snapshots"))
    assert not list(results.rglob("state.safetensors"))
    assert not list((results / "checkpoints").iterdir())


def test_the_log_of_a_training_has_a_line_an_epoch_with_an_eta(finished):
    log = finished.directory / "results/runs/small/CE/width0.25/epochs3/seed1/train.log"
    lines = [line for line in log.read_text().splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines] == ["2/3", "3/3"]  # epoch 1 was the stem's
    assert all("ETA 0:00:0" in line for line in lines)


def test_a_finished_study_has_nothing_to_do(finished):
    assert finished.planned() == {}


def test_one_deleted_figure_is_one_job(finished):
    figure = finished.directory / "results/figures/small/test_accuracy.pdf"
    content = figure.read_bytes()
    figure.unlink()
    target = "results/figures/small/test_accuracy.pdf"
    assert finished.planned(target) == {"figure": 1}
    finished.run(target)
    assert figure.read_bytes() == content


def test_the_named_targets(finished, workflow):
    assert workflow.planned("datasets") == {"prepare_dataset": 1, "datasets": 1}
    assert workflow.planned("figures")["figure"] == 11
    one = workflow.planned("results/figures/small/nc_evolution.png")
    assert one["figure"] == 1
    assert one["train"] == 8


def test_shared_stems_leave_no_trace_in_the_results(workflow, tmp_path_factory):
    """Budgets of 2 epochs (nothing to share), 7 and 8 (which decay at the same epoch), trained both ways."""
    workflow.config["experiments"]["small"] |= {"losses": ["FL"], "widths": [0.25], "epochs": [2, 7, 8]}
    assert workflow.planned()["train_stem"] == 1
    workflow.run()
    workflow.config["experiments"]["small"]["share_stem"] = False
    alone = Workflow(tmp_path_factory.mktemp("alone"), workflow.config)
    assert "train_stem" not in alone.planned()
    alone.run()
    for epochs in (2, 7, 8):
        run = f"results/runs/small/FL/width0.25/epochs{epochs}/seed1"
        for name in ("best.safetensors", "final.safetensors", "features.npz", "nc_metrics.csv"):
            first, second = (place.directory / run / name for place in (workflow, alone))
            assert first.read_bytes() == second.read_bytes(), name
        histories = [
            pd.read_csv(place.directory / run / "history.csv").drop(columns=["seconds", "images_per_second"])
            for place in (workflow, alone)
        ]
        pd.testing.assert_frame_equal(*histories, check_exact=True)
    assert workflow.planned() == {}  # how the work is shared is no reason to do it again


def test_a_stack_trains_the_runs_of_several_losses_and_seeds_in_one_job(workflow):
    experiment = workflow.config["experiments"]["small"]
    experiment |= {"widths": [0.25], "seeds": [1, 2], "stack": 2}
    jobs = {f"{rule}_small_{number}": 2 for number in (1, 2) for rule in ("train_stack", "extract_stack")}
    jobs |= {f"train_stem_stack_small_{number}": 1 for number in (1, 2)}
    planned = workflow.planned()
    assert planned.items() >= jobs.items()
    assert not {"train", "train_stem", "extract_features"} & planned.keys()
    workflow.run()
    results = workflow.directory / "results"
    records = [json.loads(path.read_text()) for path in sorted(results.glob("runs/small/*/*/epochs7/*/run.json"))]
    assert [(record["loss"], record["seed"]) for record in records] == [("CE", 1), ("CE", 2), ("FL", 1), ("FL", 2)]
    assert {record["trained_together"] for record in records} == {2}
    for run in results.glob("runs/small/*/*/*/*"):
        names = ["best.safetensors", "features.npz", "final.safetensors", "history.csv", "nc_metrics.csv"]
        assert sorted(path.name for path in run.iterdir()) == [*names, "nc_metrics.log", "run.json"]
    table = pd.read_csv(results / "tables/small/runs.csv")
    assert table["accuracy_test"].nunique() > 4, "every run has features of its own"
    assert not (results / "stems").exists() and not list((results / "checkpoints").iterdir())
    assert workflow.planned() == {}

    missing = "results/runs/small/FL/width0.25/epochs7/seed1/features.npz"
    features = workflow.directory / missing
    content = features.read_bytes()
    features.unlink()
    again = workflow.planned(missing)
    assert (again["train_stem_stack_small_1"], again["train_stack_small_1"]) == (1, 1), "as one, from the beginning"
    workflow.run(missing)
    assert features.read_bytes() == content

    experiment["seeds"] = [1, 2, 3]
    added = workflow.planned()
    assert {rule: count for rule, count in added.items() if "train" in rule} == {
        "train_stem_stack_small_3": 1,
        "train_stack_small_3": 2,
    }
    experiment |= {"seeds": [1, 2], "epochs": [3, 7, 14]}
    added = workflow.planned()
    assert (added["train_stack_small_1"], added["train_stack_small_2"]) == (1, 1), "the new budget alone"


def test_a_mistake_in_the_config_is_one_line_and_status_2_before_any_job(workflow):
    workflow.config["losses"]["FL"]["gamma"] = -1
    result = workflow.run(check=False)
    assert result.returncode == 2
    assert "config: losses.FL.gamma: -1; allowed: a number >= 0" in result.stderr.splitlines()
    assert "Traceback" not in result.stderr
    assert not (workflow.directory / "results").exists()


def test_a_diverging_run_says_so_and_leaves_nothing_that_looks_finished(workflow):
    workflow.config["experiments"]["small"] |= {"losses": ["CE"], "widths": [0.25], "epochs": [3]}
    workflow.config["experiments"]["small"]["training"] = {"learning_rate": 1e30, "clip_norm": None}
    result = workflow.run(check=False)
    assert result.returncode != 0
    run = workflow.directory / "results/runs/small/CE/width0.25/epochs3/seed1"
    assert "training diverged: the loss is" in (run / "train.log").read_text()
    assert "training diverged: the loss is" in result.stderr
    assert "Traceback" not in (run / "train.log").read_text()
    assert {path.name for path in run.iterdir()} == {"train.log"}


def test_a_warning_is_given_where_theorem_1_does_not_apply(workflow):
    workflow.config["experiments"]["small"]["widths"] = [0.125]
    result = workflow.run("datasets")
    assert "warning: experiments.small.widths: 0.125 gives features of dimension 8 for 10 classes" in result.stderr


def test_results_of_another_clone_are_taken_as_they_are(finished, tmp_path):
    clone = Workflow(tmp_path, finished.config)
    shutil.copytree(finished.directory / "results", tmp_path / "results")
    assert clone.planned() == {}


@pytest.mark.parametrize(
    ("stack", "log", "line"),
    [
        (1, "results/runs/small/FL/width0.25/epochs80/seed1/train.log", "epoch 10/80"),
        (2, "results/logs/stacks/small/1/width0.25/epochs80/train.log", "FL seed1: epoch 10/80"),
    ],
    ids=["alone", "stacked"],
)
def test_a_killed_snakemake_goes_on_where_it_was_and_ends_with_the_same_bits(
    workflow, tmp_path_factory, stack, log, line
):
    workflow.config["experiments"]["small"] |= {"widths": [0.25], "epochs": [80], "stack": stack}
    workflow.config["experiments"]["small"]["training"] |= {"batch_size": 20}
    workflow.config["compute"] = {"checkpoint_minutes": 0}
    run = "results/runs/small/FL/width0.25/epochs80/seed1"
    log = workflow.directory / log
    target = [f"{run}/nc_metrics.csv"]
    profile = ["--workflow-profile", str(ROOT / "profiles" / "default"), "--cores", "2"]
    process = subprocess.Popen(
        workflow.command(*profile, *target), cwd=workflow.directory, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not (log.exists() and line in log.read_text()):
        assert process.poll() is None, "Snakemake ended before it could be killed"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (workflow.directory / run / "run.json").exists()
    assert workflow.run(check=False).returncode != 0, "the folder is still locked"
    workflow.run("--unlock")
    workflow.run("--rerun-incomplete", *target)
    assert int(re.search(r"training on .* from epoch (\d+)", log.read_text())[1]) >= 9

    whole = Workflow(tmp_path_factory.mktemp("whole"), workflow.config)
    whole.run(*target)
    for name in ("best.safetensors", "final.safetensors", "features.npz", "nc_metrics.csv"):
        assert (workflow.directory / run / name).read_bytes() == (whole.directory / run / name).read_bytes(), name


def test_two_experiments_may_share_a_dataset_and_have_lists_of_their_own(workflow):
    small = workflow.config["experiments"]["small"]
    workflow.config["experiments"]["other"] = {**small, "seeds": [7, 8, 9], "widths": [0.3], "epochs": [1, 2, 5, 6]}
    planned = workflow.planned()
    assert planned["prepare_dataset"] == 1
    assert planned["train"] == 8 + 2 * 3 * 1 * 4
    assert planned["collect"] == 2


def test_the_papers_study_is_576_runs_and_what_they_need(tmp_path):
    """On a machine without GPU and without data."""
    paper = Workflow(tmp_path, configuration.load([ROOT / "config" / "paper.yaml"]))
    planned = paper.planned()
    assert planned == {
        "prepare_dataset": 3,
        "train_stem": 2 * 4 * 4 * 3 * 3,  # CIFAR10 and miniImageNet: losses x widths x seeds x stems
        "train_candidate_stem": 4 * 4 * 3 * 4,  # CIFAR100: losses x widths x stems x candidates, one seed
        "train": 2 * 192 + 4 * 4 * 4 * 2,  # CIFAR100's other two seeds train with what was chosen
        "train_candidate": 4 * 4 * 4 * 4,
        "choose_weight_decay": 4 * 4 * 4,
        "adopt_candidate": 4 * 4 * 4,
        "extract_features": 2 * 192 + 4 * 4 * 4 * 2,
        "extract_candidate_features": 4 * 4 * 4 * 4,
        "nc_metrics": 576,
        "align_features": 3,
        "collect": 3,
        "evidence": 3,
        "figure": 3 * 11,
        "all": 1,
    }
    assert planned["train"] + planned["adopt_candidate"] == 576
    experiments = Study(paper.config).experiments.values()
    assert sum(sum(experiment.jobs.values()) for experiment in experiments) + 3 + 1 == sum(planned.values())


def test_a_miniature_of_the_papers_study_runs_to_all_its_figures(tmp_path):
    """The shipped file, its lists and images cut, on files in the real formats: three experiments and the tuning."""
    tiny_datasets.write_cifar10(tmp_path / "cifar10")
    tiny_datasets.write_cifar100(tmp_path / "cifar100")
    tiny_datasets.write_mini_imagenet_pickles(tmp_path / "mini")
    overlay = {
        "datasets": {
            "cifar10": {"root": "cifar10", "per_class": 4, "validation_fraction": 0.25},
            "cifar100": {"root": "cifar100", "per_class": 2, "validation_fraction": 0.5},
            "miniimagenet": {"root": "mini", "size": 32, "per_class": 2, "validation_fraction": 0.5},
        },
        "defaults": {
            "losses": ["CE"],
            "widths": [0.25],
            "epochs": [3, 5],
            "seeds": [1],
            "snapshots": 1,
            "training": {"batch_size": 50},
        },
        "experiments": {
            "cifar10": {"losses": ["CE", "MSE"]},
            "cifar100": {
                "epochs": [1],
                "seeds": [1, 2],
                "snapshots": [1],
                "training": {"weight_decay": {"candidates": [0.0005, 0.5]}},
            },
        },
    }
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    miniature = Workflow(tmp_path, configuration.load([ROOT / "config" / "paper.yaml", tmp_path / "overlay.yaml"]))
    miniature.run()
    results = tmp_path / "results"
    for experiment in ("cifar10", "cifar100", "miniimagenet"):
        figures = {path.name for path in (results / "figures" / experiment).iterdir()}
        assert {f"{name}.{suffix}" for name in FIGURES for suffix in ("pdf", "png")} <= figures
    choice = json.loads((results / "tuning/cifar100/CE/width0.25/epochs1/weight_decay.json").read_text())
    assert [score["weight_decay"] for score in choice["scores"]] == [0.0005, 0.5]
    runs = pd.read_csv(results / "tables/cifar100/runs.csv")
    assert runs["weight_decay"].tolist() == [choice["weight_decay"]] * 2
    adopted = results / "runs/cifar100/CE/width0.25/epochs1/seed1/final.safetensors"
    chosen = f"tuning/cifar100/CE/width0.25/epochs1/seed1/decay{choice['weight_decay']:g}/final.safetensors"
    assert adopted.samefile(results / chosen)
    assert miniature.planned() == {}
