"""Whole studies: what a run of the workflow leaves, and how it ends when something is wrong."""

from __future__ import annotations

import copy
import json
import os
import re
import signal
import subprocess
import time

import pandas as pd
import psutil
import pytest
import yaml

from equal_losses.study import configuration
from tests.conftest import ROOT, SMALL_STUDY, Workflow
from tests.datasets import tiny_datasets

FIGURES = (
    "nc_evolution",
    "nc_evolution_centered",
    "accuracy_evolution",
    "test_accuracy",
    "accuracy_gap",
    "seed_variance",
    "equivalence",
    "collapse_and_accuracy",
    "alignment_cka",
    "alignment_procrustes",
    "overview",
)


def shipped(*names: str) -> dict:
    return configuration.load([ROOT / "config" / f"{name}.yaml" for name in names])


def test_the_demo_plans_the_jobs_that_its_grid_needs(tmp_path):
    planned = Workflow(tmp_path, shipped("demo")).planned()
    stacks = {rule: planned[rule] for rule in ("train_stack", "extract_stack", "nc_metrics_of_stack")}
    assert set(stacks.values()) == {2 * 2}, "a stack for each width and budget"
    assert planned["train_stack_trunk"] == 2, "to the first decay of the shorter budget"
    assert sum(planned.values()) < 50, "what starts a Python is counted"


def test_without_a_configuration_the_study_is_the_demo_and_with_one_it_is_not_mixed_in(workflow):
    command = [
        part
        for part in workflow.command("-n", "--verbose")
        if part != "--configfile" and not part.endswith("study.yaml")
    ]
    printed = subprocess.run(command, cwd=workflow.directory, capture_output=True, text=True, check=True)
    assert "results/figures/demo/overview.pdf" in printed.stdout
    assert "results/figures/demo" not in workflow.run("-n", "--verbose").stdout


def test_what_frees_disk_goes_first_and_then_what_takes_longest(workflow):
    """An extraction before a training, a training before a trunk, and a trunk that goes on before a new one."""
    workflow.config["experiments"]["small"].update(epochs=[3, 7, 9], widths=[0.25, 0.5])
    printed = workflow.run("--dry-run", "--verbose").stdout
    priorities = {}
    for block in re.split(r"^\[.*\]$", printed, flags=re.MULTILINE):
        found = re.search(r"^rule (\w+):.* width=([\d.]+).*priority: (\d+)", block, re.MULTILINE | re.DOTALL)
        if found:
            priorities.setdefault(found[1], set()).add((int(found[3]), found[2]))
    jobs = [job for rule in ("train_trunk", "train", "extract_features") for job in sorted(priorities[rule])]
    assert jobs == sorted(jobs)
    assert [width for _, width in jobs] == ["0.25", "0.5"] * 4  # trunks twice


def drawn(workflow: Workflow, experiment: str) -> set[str]:
    """Names of the figures that are there, each as PDF and PNG."""
    names = [{path.stem for path in workflow.results.glob(f"figures/{experiment}/*.{end}")} for end in ("pdf", "png")]
    assert names[0] == names[1]
    return names[0]


def test_a_study_ends_with_its_figures_claims_and_page(finished):
    assert drawn(finished, "small") == set(FIGURES)
    assert set(pd.read_csv(finished.results / "studies/small/claims.csv")["experiment"]) == {"small", "theory"}
    assert (finished.results / "studies/small/report.html").stat().st_size > 100_000


def test_the_tables_name_the_folder_of_each_run(finished):
    table = pd.read_csv(finished.results / "tables/small/runs.csv")
    assert len(table) == 8
    for folder, epochs in zip(table["folder"], table["epochs"], strict=True):
        assert json.loads((finished.directory / folder / "run.json").read_text())["settings"]["epochs"] == epochs


def test_only_what_is_worth_keeping_is_kept(finished):
    assert {path.name for path in finished.results.iterdir()} == {
        *("datasets", "figures", "runs", "studies", "tables", "trunks"),
    }
    run = finished.folder("small/FL/width0.5/epochs7/seed1")
    weights = {"best.safetensors", "final.safetensors", "snapshots.safetensors"}
    assert {path.name for path in run.iterdir()} == {
        *("features", "history.csv", "key.json", "nc_metrics", "run.json", "train.log"),
        *weights,
    }
    assert {path.suffix for path in (finished.results / "trunks").rglob("*") if path.is_file()} == {".log"}
    assert not list(finished.results.rglob(".*")), "what is written for a while has a hidden name"


def test_results_are_readable_by_whoever_the_umask_allows(finished):
    umask = os.umask(0)
    os.umask(umask)
    modes = {path.suffix: path.stat().st_mode & 0o777 for path in finished.results.rglob("*") if path.is_file()}
    assert set(modes.values()) == {0o666 & ~umask}


def test_the_log_of_a_training_has_a_line_for_each_epoch_with_the_time_left(finished):
    lines = (finished.folder("small/FL/width0.5/epochs7/seed1") / "train.log").read_text().splitlines()
    epochs = [line for line in lines if re.match(r"epoch \d/7 .* ETA 0:00:", line)]
    assert len(epochs) == 6, "the first one was trained in the trunk"


def test_the_named_targets(workflow):
    assert workflow.planned("datasets") == {"prepare_dataset": 1, "datasets": 1}
    assert workflow.planned("figures")["figure"] == 11
    assert "train" not in workflow.planned("theory")


def test_shared_trunks_leave_no_trace_in_the_results(workflow, tmp_path_factory):
    """Budgets of 2 epochs (nothing to share), 7 and 8 (which decay at the same epoch), trained both ways."""
    workflow.config["experiments"]["small"] |= {"losses": ["FL"], "widths": [0.25], "epochs": [2, 7, 8]}
    table = "results/tables/small/runs.csv"
    assert workflow.planned(table)["train_trunk"] == 1
    workflow.run(table)
    workflow.config["experiments"]["small"]["share_trunk"] = False
    assert workflow.planned(table) == {}
    alone = Workflow(tmp_path_factory.mktemp("alone"), workflow.config)
    alone.run(table)
    pd.testing.assert_frame_equal(
        *(pd.read_csv(each.directory / table).drop(columns="train_seconds") for each in (workflow, alone))
    )
    for file in ("best.safetensors", "final.safetensors", "snapshots.safetensors", "features/*/features.npz"):
        for first in workflow.results.glob(f"runs/small/FL/*/*/*/*/{file}"):
            assert first.read_bytes() == (alone.directory / first.relative_to(workflow.directory)).read_bytes(), file


@pytest.fixture(scope="module")
def stacked(tmp_path_factory) -> Workflow:
    """Two losses and two seeds, in stacks of two, run to the tables."""
    config = copy.deepcopy(SMALL_STUDY)
    config["experiments"]["small"] |= {"widths": [0.25], "seeds": [1, 2], "stack": 2}
    workflow = Workflow(tmp_path_factory.mktemp("stacked"), config)
    workflow.run("results/tables/small/runs.csv")
    return workflow


def test_stacks_are_trained_and_measured_as_one(tmp_path, stacked):
    planned = Workflow(tmp_path, stacked.config).planned("results/tables/small/runs.csv")
    assert planned == {
        "prepare_dataset": 1,
        "train_stack_trunk": 2,
        "train_stack": 4,
        "extract_stack": 4,
        "nc_metrics_of_stack": 4,
        "collect": 1,
    }


def test_runs_of_a_stack_have_results_of_their_own(stacked):
    table = pd.read_csv(stacked.results / "tables/small/runs.csv")
    assert table["nc1"].nunique() == 8
    records = [json.loads(path.read_text()) for path in stacked.results.glob("stacks/small/*/*/epochs7/*/*/*/run.json")]
    assert {record["trained_together"] for record in records} == {2}
    assert len({(record["settings"]["loss"]["kind"], record["settings"]["seed"]) for record in records}) == 4


def test_a_seed_more_is_a_stack_more(stacked, tmp_path):
    more = stacked.copy(tmp_path)
    more.config["experiments"]["small"]["seeds"] = [1, 2, 3]
    planned = more.planned("results/tables/small/runs.csv")
    assert (planned["train_stack"], planned["train_stack_trunk"]) == (2, 1)


def test_a_mistake_in_the_config_is_one_line_and_status_2_before_any_job(workflow):
    workflow.config["losses"]["FL"]["gamma"] = -1
    result = workflow.run(check=False)
    assert result.returncode == 2
    assert "config: losses.FL.gamma: -1; allowed: a number >= 0 and <= 100" in result.stderr.splitlines()
    assert "Traceback" not in result.stderr
    assert not workflow.results.exists()


def test_a_diverging_run_says_so_and_leaves_nothing_that_looks_finished(workflow):
    workflow.config["experiments"]["small"] |= {"losses": ["CE"], "widths": [0.25], "epochs": [3]}
    workflow.config["experiments"]["small"]["training"] = {"learning_rate": 1e30, "clip_norm": None}
    run = workflow.folder("small/CE/width0.25/epochs3/seed1")
    assert "training diverged: the loss is" in workflow.refused()
    assert "Traceback" not in (run / "train.log").read_text()
    assert {path.name for path in run.iterdir() if path.is_file()} == {"train.log"}


def test_a_warning_is_given_where_theorem_1_does_not_apply(workflow):
    workflow.config["experiments"]["small"]["widths"] = [0.125]
    result = workflow.run("datasets")
    assert "warning: experiments.small.widths: 0.125 gives features of dimension 8 for 10 classes" in result.stderr


# Interrupted


@pytest.fixture
def long(workflow) -> Workflow:
    """One training of some seconds, with a checkpoint after every epoch."""
    workflow.config["experiments"]["small"] |= {"losses": ["FL"], "widths": [0.25], "epochs": [80]}
    workflow.config["experiments"]["small"]["training"] |= {"batch_size": 20}
    workflow.config["compute"] = {"checkpoint_minutes": 0}
    return workflow


def started(workflow: Workflow, log: str, line: str) -> subprocess.Popen:
    """Snakemake on its way, once a log has a line."""
    process = subprocess.Popen(
        workflow.command("results/tables/small/runs.csv"),
        cwd=workflow.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not any(line in path.read_text() for path in workflow.results.glob(log)):
        assert process.poll() is None, "Snakemake ended before it could be killed"
        time.sleep(0.05)
    return process


def begun_at(workflow: Workflow, log: str) -> int:
    return int(re.search(r"training on .* from epoch (\d+)", workflow.found(log).read_text())[1])


@pytest.mark.parametrize(
    ("stack", "log", "line"),
    [
        (1, "runs/small/FL/width0.25/epochs80/seed1/*/train.log", "epoch 10/80"),
        (2, "stacks/small/stack1/width0.25/epochs80/*/train.log", "FL/seed1: epoch 10/80"),
    ],
    ids=["alone", "stacked"],
)
def test_a_killed_snakemake_goes_on_where_it_was_and_ends_with_the_same_bits(long, tmp_path_factory, stack, log, line):
    long.config["experiments"]["small"] |= {"losses": ["CE", "FL"][2 - stack :], "stack": stack}
    process = started(long, log, line)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert long.run(check=False).returncode != 0, "the folder is still locked"
    long.run("--unlock")
    long.run("results/tables/small/runs.csv")
    assert begun_at(long, log) >= 9
    assert not list(long.results.rglob("unfinished"))
    whole = Workflow(tmp_path_factory.mktemp("whole"), long.config)
    whole.run("results/tables/small/runs.csv")
    for name in ("best.safetensors", "final.safetensors", "features.npz"):
        (first,) = (path for path in long.results.rglob(name) if "FL" in path.parts)
        assert first.read_bytes() == (whole.directory / first.relative_to(long.directory)).read_bytes(), name


def test_what_an_orphan_finished_is_taken(long):
    """Snakemake alone is killed; its job goes on, and ends."""
    log = "runs/small/FL/width0.25/epochs80/seed1/*/train.log"
    process = started(long, log, "epoch  1/80")
    orphans = [
        child for child in psutil.Process(process.pid).children(recursive=True) if "train" in " ".join(child.cmdline())
    ]
    process.kill()
    process.wait()
    psutil.wait_procs(orphans, timeout=120)
    assert len(list(long.results.glob("runs/small/FL/*/*/*/*/key.json"))) == 1
    long.run("--unlock")
    assert "train" not in long.planned("results/tables/small/runs.csv")
    long.run("results/tables/small/runs.csv")


# The paper's study


def test_two_experiments_may_share_a_dataset_and_have_lists_of_their_own(workflow):
    small = workflow.config["experiments"]["small"]
    workflow.config["experiments"]["other"] = {**small, "seeds": [7, 8, 9], "widths": [0.3], "epochs": [1, 2, 5, 6]}
    planned = workflow.planned()
    assert planned["prepare_dataset"] == 1
    assert planned["train"] == 8 + 2 * 3 * 1 * 4
    assert planned["collect"] == 2


def test_the_papers_study_is_576_runs_and_what_they_need(tmp_path):
    """On a machine without GPU and without data."""
    planned = Workflow(tmp_path, shipped("paper")).planned("figures")
    assert planned == {
        "prepare_dataset": 3,
        "train_trunk": 2 * 4 * 4 * 3 * 3,  # CIFAR10 and miniImageNet: losses x widths x seeds x trunks
        "train_candidate_trunk": 4 * 4 * 3 * 4,  # CIFAR100: losses x widths x trunks x candidates, one seed
        "train": 2 * 192,
        "train_candidate": 4 * 4 * 4 * (4 + 2),  # four candidates at one seed, and two seeds with what was chosen
        "choose_candidate": 4 * 4 * 4,
        "link_run": 192,
        "link_features": 192,
        "extract_features": 2 * 192,
        "extract_candidate": 4 * 4 * 4 * (4 + 2),
        "nc_metrics": 576,
        "align_features": 3,
        "collect": 3,
        "table": 6,
        "figure": 3 * 11,
        "figures": 1,
    }


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
            "miniimagenet": {"epochs": [1], "figures": ["nc_evolution"]},
            "cifar100": {
                "figures": ["test_accuracy"],
                "epochs": [1],
                "seeds": [1, 2],
                "snapshots": [1],
                "training": {"weight_decay": {"candidates": [0.000316227766, 0.5]}},
            },
        },
    }
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    miniature = Workflow(tmp_path, configuration.load([ROOT / "config" / "paper.yaml", tmp_path / "overlay.yaml"]))
    miniature.run("figures")
    assert drawn(miniature, "cifar10") == set(FIGURES)
    assert drawn(miniature, "cifar100") == {"test_accuracy"}
    assert drawn(miniature, "miniimagenet") == {"nc_evolution"}
    choice = json.loads(miniature.found("tuning/cifar100/CE/width0.25/epochs1/choice/*/choice.json").read_text())
    assert [score["weight_decay"] for score in choice["scores"]] == [0.000316227766, 0.5]
    runs = pd.read_csv(miniature.results / "tables/cifar100/runs.csv")
    assert runs["weight_decay"].tolist() == [choice["chosen"]["weight_decay"]] * 2
    linked = miniature.folder("cifar100/CE/width0.25/epochs1/seed1") / "final.safetensors"
    chosen = miniature.found(
        f"tuning/cifar100/CE/width0.25/epochs1/seed1/weight_decay{choice['chosen']['weight_decay']}/*/final.safetensors"
    )
    assert linked.samefile(chosen)
    assert not list(miniature.results.rglob("snapshots.safetensors")), "the paper's study keeps none"
    assert miniature.planned("figures") == {}
