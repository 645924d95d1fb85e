"""What `neural-collapse status` says of a study, from its files."""

from __future__ import annotations

import json
import os
import time

import pytest
import yaml
from neural_collapse import jobs, status
from neural_collapse.cli import main
from neural_collapse.study import Study

RUN = "runs/small/CE/width0.25/epochs7/seed1"
LINES = """\
device: CPU, because no GPU is there
training on CPU, 1 thread from epoch 0
epoch 1/7  lr 0.1  loss 2.3651  train 10.00%  val 12.50%  5,000 images/s  1200 epochs/h  ETA 0:00:18
epoch 2/7  lr 0.1  loss 1.5  train 50.00%  val 62.50%  5,000 images/s  1200 epochs/h  ETA 0:00:15
"""


@pytest.fixture
def logged(small_config, tmp_path):
    """Answers the progress of one run whose log says `text` and was touched `age` seconds ago."""

    def progress(text: str, age: float = 0) -> status.Progress:
        log = tmp_path / "results" / RUN / "train.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(text)
        os.utime(log, (time.time() - age, time.time() - age))
        trainings = status.of_study(Study(small_config), tmp_path)
        return next(training for training in trainings if training.name == RUN)

    return progress


def test_a_study_that_was_not_begun_waits(small_config, tmp_path):
    trainings = status.of_study(Study(small_config), tmp_path)
    assert {training.state for training in trainings} == {"waiting"}
    assert status.totals(trainings)["epochs_left"] == 4 * (3 + 7)


def test_the_example_is_what_a_job_prints(capsys):
    report = jobs.Progress(7, 0, 7)
    report(
        [
            {
                "epoch": 2,
                "learning_rate": 0.1,
                "train_loss": 1.5,
                "train_accuracy": 0.5,
                "val_accuracy": 0.625,
                "images_per_second": 5000.0,
            }
        ]
    )
    assert status._EPOCH.search(capsys.readouterr().out)["val"] == "62.50"


def test_a_run_that_goes_on(logged):
    training = logged(LINES)
    assert (training.state, training.epoch, training.epochs) == ("running", 2, 7)
    assert (training.loss, training.train_accuracy, training.val_accuracy) == (1.5, 0.5, 0.625)
    assert training.epochs_per_hour == 1200
    assert training.eta_hours == pytest.approx(5 / 1200)
    assert "epoch 2/7  1,200 epochs/h  ETA 0:00 h  loss 1.5  train 50.00%  val 62.50%" in status.text([training])


def test_a_run_whose_log_is_silent_was_killed(logged):
    assert logged(LINES, age=10 * status.SILENCE_SECONDS).state == "stopped"
    assert logged(LINES + jobs.STOPPED + "by SIGTERM\n").state == "stopped"


def test_a_run_that_failed_says_why_and_where(logged):
    training = logged(LINES + jobs.FAILED + "training diverged: the loss is nan\n")
    assert (training.state, training.error) == ("failed", "training diverged: the loss is nan")
    assert training.log == f"results/{RUN}/train.log"


def test_one_run_that_diverges_leaves_the_others_running_and_is_named(workflow, capsys):
    workflow.config["losses"]["BAD"] = {"kind": "mse", "kappa": 1, "beta": 1e30}
    workflow.config["experiments"]["small"] |= {"losses": ["BAD", "CE"], "widths": [0.25], "epochs": [2]}
    assert workflow.run("--keep-going", check=False).returncode != 0
    study = workflow.directory / "study.yaml"
    assert main(["status", str(study), "--directory", str(workflow.directory), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    states = {run["name"]: run["state"] for run in answer["runs"]}
    assert states == {
        "runs/small/BAD/width0.25/epochs2/seed1": "failed",
        "runs/small/CE/width0.25/epochs2/seed1": "done",
    }
    assert answer["runs"][0]["error"].startswith("training diverged: the loss is inf at epoch 1, step 1")
    assert answer["totals"]["failed"] == answer["totals"]["done"] == 1
    assert main(["status", str(study), "--directory", str(workflow.directory)]) == 0
    assert "(log: results/runs/small/BAD/width0.25/epochs2/seed1/train.log)" in capsys.readouterr().out


def test_a_misspelt_study_is_one_line_and_status_2(tmp_path, small_config, capsys):
    small_config["losses"]["CE"]["kind"] = "cross"
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(small_config))
    assert main(["status", str(tmp_path / "study.yaml")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_of_runs_that_are_trained_as_one_each_has_its_own_lines(small_config, tmp_path, capsys):
    small_config["experiments"]["small"]["stack"] = 2
    study = Study(small_config)
    rows = [
        {"epoch": 2, "learning_rate": 0.1, "train_loss": loss, "train_accuracy": 0.5, "val_accuracy": 0.6}
        | {"images_per_second": 5000.0}
        for loss in (1.5, 2.5)
    ]
    jobs.Progress(7, 0, 7, ["CE seed1", "FL seed1"])(rows)
    log = tmp_path / "results/logs/stacks/small/1/width0.25/epochs7/train.log"
    log.parent.mkdir(parents=True)
    log.write_text(capsys.readouterr().out)
    progress = {each.name: each for each in status.of_study(study, tmp_path) if each.state == "running"}
    assert {name: (each.loss, each.epoch) for name, each in progress.items()} == {
        RUN: (1.5, 2),
        RUN.replace("CE", "FL"): (2.5, 2),
    }
    log.write_text(f"{log.read_text()}failed: no memory\n")
    failed = [each for each in status.of_study(study, tmp_path) if each.state == "failed"]
    assert [(each.error, tmp_path / each.log) for each in failed] == 2 * [("no memory", log)]
