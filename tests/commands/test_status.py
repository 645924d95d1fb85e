"""The command `status`: how far a study is, from its files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time

import pytest

from equal_losses.commands import progress
from equal_losses.running import progress as lines
from equal_losses.running.shell import FAILED, STOPPED
from equal_losses.running.sources import ROOT

RUN = "runs/small/CE/width0.25/epochs7/seed1"
LOG = """\
training on CPU, 1 thread from epoch 0
epoch 1/7  lr 0.1  loss 2.3651  train 10.00%  val 12.50%  5,000 images/s  1200 epochs/h  ETA 0:00:18
epoch 2/7  lr 0.1  loss 1.5  train 50.00%  val 62.50%  5,000 images/s  1200 epochs/h  ETA 0:00:15
"""
ROW = {
    "epoch": 2,
    "learning_rate": 0.1,
    "train_loss": 1.5,
    "train_accuracy": 0.5,
    "val_accuracy": 0.625,
    "images_per_second": 5000.0,
}
LONG_AGO = 10 * progress.SILENCE_SECONDS


def log(folder, path: str, text: str, age: float = 0) -> str:
    """Write a log that was touched `age` seconds ago."""
    file = folder.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, (time.time() - age, time.time() - age))
    return path


def logged(folder, text: str, age: float = 0) -> progress.Training:
    """The progress of a run whose log says `text`."""
    log(folder, folder.of_run().file("train.log"), text, age)
    return found(folder)[RUN]


def found(folder) -> dict[str, progress.Training]:
    """The progress of all trainings, by name."""
    return {training.name: training for training in progress.of_study(folder.steps)}


# One run


def test_a_study_that_was_not_begun_waits(folder):
    trainings = progress.of_study(folder.steps)
    assert {training.state for training in trainings} == {"waiting"}
    assert progress.totals(trainings)["epochs_left"] == 4 * (3 + 7)


@pytest.mark.parametrize("member", ["", "CE/seed1"])
def test_the_line_of_an_epoch_is_read_as_a_job_prints_it(capsys, member):
    lines.Progress(7, 0, 7)(ROW, member)
    row = lines.EPOCH.search(capsys.readouterr().out)
    assert (row["member"] or "", row["epoch"], row["loss"]) == (member, "2", "1.5")
    assert (row["train"], row["val"]) == ("50.00", "62.50")
    assert float(row["rate"]) > 0


def test_a_run_that_goes_on(folder):
    training = logged(folder, LOG)
    assert (training.state, training.epoch, training.epochs) == ("running", 2, 7)
    assert (training.loss, training.train_accuracy, training.val_accuracy) == (1.5, 0.5, 0.625)
    assert training.epochs_per_hour == 1200
    assert training.eta_hours == pytest.approx(5 / 1200)
    assert "epoch 2/7  1,200 epochs/h  ETA 0:00 h  loss 1.5  train 50.00%  val 62.50%" in progress.text([training])


def test_a_copy_of_a_study_that_runs_does_not_run(folder, tmp_path_factory):
    """With cp -r, by which everything is as new as what it was copied from."""
    path = folder.root / folder.of_run().file("train.log")
    path.parent.mkdir(parents=True)
    with open(path, "w") as file:
        file.write(lines.process(file.fileno()) + LOG)
    assert found(folder)[RUN].state == "running"
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(folder.root / "results", copy / "results")
    (_, totals) = folder.command("status", folder.file, "--directory", str(copy), "--summary")
    assert totals.startswith("7 waiting, 1 stopped; ")


def test_a_run_whose_process_is_no_more_was_stopped_at_once(folder):
    ended = subprocess.Popen(["true"])
    ended.wait()
    path = folder.root / folder.of_run().file("train.log")
    log(folder, folder.of_run().file("train.log"), "")
    with open(path, "r+") as file:
        file.write(lines.process(file.fileno()).replace(str(os.getpid()), str(ended.pid), 1) + LOG)
    assert found(folder)[RUN].state == "stopped"


def test_a_run_on_another_machine_runs_as_long_as_its_log_is_touched(folder):
    path = folder.root / folder.of_run().file("train.log")
    log(folder, folder.of_run().file("train.log"), "")
    with open(path, "r+") as file:
        file.write(lines.process(file.fileno()).replace(os.uname().nodename, "elsewhere") + LOG)
    assert found(folder)[RUN].state == "running"


def test_a_run_in_its_first_epoch(folder):
    training = logged(folder, LOG.splitlines()[0])
    assert (training.state, training.epoch, training.eta_hours) == ("running", 0, None)
    assert "epoch 0/7" in progress.text([training])


@pytest.mark.parametrize(
    ("text", "age"), [(LOG, LONG_AGO), (f"{LOG}{STOPPED}by SIGTERM\n", 0)], ids=["killed", "told to stop"]
)
def test_a_run_that_was_stopped(folder, text, age):
    training = logged(folder, text, age)
    assert (training.state, training.epoch, training.eta_hours) == ("stopped", 2, None)


def test_a_run_that_failed_says_why_and_where(folder):
    training = logged(folder, f"{LOG}{FAILED}training diverged: the loss is nan\n")
    assert (training.state, training.error) == ("failed", "training diverged: the loss is nan")
    assert training.log == folder.of_run().file("train.log")
    assert f"training diverged: the loss is nan (log: {training.log})" in progress.text([training])


def test_a_run_whose_record_is_there_is_done(folder):
    step = folder.of_run()
    folder.make(step, "run.json")
    log(folder, step.file("train.log"), LOG, LONG_AGO)
    assert (found(folder)[RUN].state, found(folder)[RUN].epoch) == ("done", 7)


def test_a_run_of_other_settings_is_not_this_one(folder):
    folder.make(folder.of_run(), "run.json")
    folder.config["experiments"]["small"]["training"]["learning_rate"] = 0.2
    assert found(folder)[RUN].state == "waiting"


@pytest.mark.parametrize(("part", "name"), [("features", "extract_features.log"), ("metrics", ".log")])
def test_what_fails_after_the_training_is_a_failure_of_the_run(folder, part, name):
    folder.make(folder.of_run(), "run.json")
    path = log(folder, folder.of_run(part).file(name), f"{FAILED}disk full\n")
    training = found(folder)[RUN]
    assert (training.state, training.error, training.log) == ("failed", "disk full", path)


# Trunks


TRUNK = "trunks/small/CE/width0.25/seed1/to3"


def trunk_logged(folder, text: str, age: float = 0) -> progress.Training | None:
    """The progress of the first trunk whose log says `text`, of runs of 7 and 14 epochs; None where it is not named."""
    folder.config["experiments"]["small"]["epochs"] = [7, 14]
    steps = folder.steps
    trunk = steps.trunk(steps.study.experiments["small"].trunks[0])
    log(folder, trunk.file("train_trunk.log"), text.replace("/7", "/14"), age)
    return found(folder).get(trunk.place.removeprefix("results/").removesuffix("/{key}"))


def test_a_trunk_is_named_while_it_runs(folder):
    training = trunk_logged(folder, LOG)
    assert (training.name, training.state, training.epoch, training.epochs) == (TRUNK, "running", 2, 3)


def test_a_trunk_is_named_once_it_has_failed(folder):
    assert trunk_logged(folder, f"{LOG}{FAILED}disk full\n").error == "disk full"


def test_a_trunk_is_not_named_once_it_was_stopped(folder):
    assert trunk_logged(folder, LOG, LONG_AGO) is None


def test_a_trunk_that_is_done_does_not_run_any_more(folder):
    assert trunk_logged(folder, f"{LOG}{LOG.splitlines()[-1].replace('epoch 2', 'epoch 3')}\n") is None


def test_a_trunk_of_a_stack_is_as_far_as_its_members(stacked):
    assert trunk_logged(stacked, LOG.replace("epoch ", "CE/seed1: epoch ")).epoch == 2


# Runs that are trained as one, or linked


def test_of_runs_that_are_trained_as_one_each_has_its_own_lines(stacked, capsys):
    for member, loss in (("CE/seed1", 1.5), ("FL/seed1", 2.5)):
        lines.Progress(7, 0, 7)({**ROW, "train_loss": loss}, member)
    steps = stacked.steps
    (stack,) = steps.study.experiments["small"].trainings
    path = log(stacked, steps.training(stack).file("train.log"), capsys.readouterr().out)
    running = {RUN: (1.5, 2), RUN.replace("CE", "FL"): (2.5, 2)}
    assert {name: (training.loss, training.epoch) for name, training in found(stacked).items()} == running
    log(stacked, path, f"{FAILED}no memory\n")
    assert [(training.error, training.log) for training in found(stacked).values()] == 2 * [("no memory", path)]


def test_runs_that_are_trained_as_one_are_counted_by_loss(stacked):
    lines = progress.text(progress.of_study(stacked.steps)).splitlines()
    assert [line.split("  ")[0] for line in lines[:-1]] == ["small CE", "small FL"]


@pytest.mark.parametrize("part", ["run", "features", "metrics"])
def test_what_has_its_record_is_made(folder, part):
    step = folder.of_run(part)
    assert not folder.steps.is_made(step)
    folder.make(step, ".csv" if part == "metrics" else "run.json")
    assert folder.steps.is_made(step)


def test_a_failed_extraction_of_a_stack_is_a_failure_of_its_runs(stacked):
    steps = stacked.steps
    (stack,) = steps.study.experiments["small"].trainings
    stacked.make(steps.training(stack), "snapshots.safetensors")
    log(stacked, steps.features(stack).file("extract_features.log"), f"{FAILED}no memory\n")
    assert found(stacked)[RUN].state == "failed"


def test_candidates_are_listed_beside_the_runs(tuned):
    assert [*found(tuned)] == [
        RUN,
        RUN.replace("seed1", "seed2"),
        "tuning/small/CE/width0.25/epochs7/seed1/weight_decay0.001",
        "tuning/small/CE/width0.25/epochs7/seed1/weight_decay0.01",
    ]


def source_log(folder, seed: int, place: int, text: str, age: float = 0) -> None:
    """Write the log of one of the trainings that a run is linked to."""
    source = folder.steps.training(folder.of_run(seed=seed).subject.sources[place])
    log(folder, source.file("train.log"), text, age)


def test_a_run_that_awaits_a_choice_is_as_far_as_what_it_will_be_linked_to(tuned):
    source_log(tuned, 2, 0, LOG)
    assert (found(tuned)[RUN.replace("seed1", "seed2")].state, found(tuned)[RUN].state) == ("running", "waiting")


def test_a_run_of_which_one_candidate_is_trained_and_another_one_goes_on_was_not_stopped(tuned):
    source_log(tuned, 1, 0, LOG)
    source_log(tuned, 1, 1, LOG.replace("epoch 2/7", "epoch 7/7"), LONG_AGO)
    assert found(tuned)[RUN].state == "running"


def test_a_run_whose_candidates_are_trained_was_not_stopped(tuned):
    for place, source in enumerate(tuned.of_run().subject.sources):
        tuned.make(tuned.steps.training(source), "run.json")
        source_log(tuned, 1, place, LOG.replace("epoch 2/7", "epoch 7/7"), LONG_AGO)
    assert found(tuned)[RUN].state != "stopped"


def test_a_dataset_that_could_not_be_prepared_is_said_to_have_failed(folder):
    log(folder, folder.steps.dataset("digits").file("prepare_dataset.log"), f"{FAILED}disk full\n")
    assert "disk full" in "\n".join(folder.command("status", folder.file))


@pytest.mark.parametrize(
    "log_of",
    [
        lambda steps, experiment: steps.figure(experiment, "overview").file(".log"),
        lambda steps, experiment: steps.table(experiment, "runs").file(".log").replace("runs.log", "collect.log"),
        lambda steps, experiment: steps.claims.file(".log"),
    ],
    ids=["figure", "tables", "claims"],
)
def test_whatever_failed_is_named(folder, log_of):
    steps = folder.steps
    path = log(folder, log_of(steps, steps.study.experiments["small"]), f"{FAILED}disk full\n")
    assert f"failed   disk full (log: {path})" in "\n".join(folder.command("status", folder.file))


# Totals


def test_totals_count_states_and_epochs(folder):
    log(folder, folder.of_run().file("train.log"), LOG)
    folder.make(folder.of_run(loss="FL"), "run.json")
    totals = progress.totals(progress.of_study(folder.steps))
    states = {"waiting": 6, "running": 1, "stopped": 0, "failed": 0, "done": 1}
    assert totals == {**states, "epochs_left": 4 * (3 + 7) - 2 - 7, "eta_hours": None}


def test_the_time_that_is_left_knows_trunks_widths_features_and_the_rest(folder):
    folder.config["experiments"]["small"] |= {"epochs": [7, 14]}
    log(folder, folder.of_run().file("train.log"), LOG)
    steps = folder.steps
    trainings = progress.of_study(steps)
    (experiment,) = steps.study.experiments.values()
    per_unit = 2 * 3 / progress.units(experiment.runs[0], 2)  # 1,200 epochs per hour
    epochs = sum(progress.units(each, each.own_epochs) for each in (*experiment.trainings, *experiment.trunks))
    snapshots = sum(progress.units(run, (len(run.snapshot_epochs) + 1) / 3) for run in experiment.runs)
    first = experiment.runs[0]
    done = progress.units(first, first.own_epochs) * max(0, 2 - (7 - first.own_epochs)) / first.own_epochs
    hours = progress.hours_left(steps, trainings)
    assert hours > (epochs + snapshots - done) * 0.9 * per_unit / 3600


def test_without_anything_that_runs_no_time_is_promised(folder):
    steps = folder.steps
    assert progress.hours_left(steps, progress.of_study(steps)) is None


def test_of_jobs_that_run_beside_each_other_the_time_is_shared(folder):
    for loss in ("CE", "FL"):
        log(folder, folder.of_run(loss=loss).file("train.log"), LOG)
    steps = folder.steps
    both = progress.of_study(steps)
    one = [each for each in both if each.name != RUN]
    assert progress.hours_left(steps, both) == pytest.approx(progress.hours_left(steps, one) / 2)


@pytest.mark.parametrize(
    ("hours", "text"), [(0, "0:00 h"), (0.5, "0:30 h"), (26.25, "26:15 h"), (0.995, "1:00 h"), (1.9999, "2:00 h")]
)
def test_hours_are_written_with_minutes(hours, text):
    training = progress.Training(RUN, "running", 1, 2, 1.0, hours, 1.0, 0.5, 0.5)
    assert f"ETA {text}" in progress.text([training])


# The command


def test_status_prints_a_line_for_each_run_and_the_totals(folder):
    log(folder, folder.of_run().file("train.log"), LOG)
    *runs, totals = folder.command("status", folder.file, "--all")
    assert len(runs) == 8
    assert runs[1].split() == (
        f"{RUN} running epoch 2/7 1,200 epochs/h ETA 0:00 h loss 1.5 train 50.00% val 62.50%".split()
    )
    assert totals.startswith("7 waiting, 1 running; 38 epochs left; about 0:0")


def test_status_prints_a_line_for_each_loss_and_what_runs_and_failed(folder):
    log(folder, folder.of_run().file("train.log"), LOG)
    log(folder, folder.of_run(loss="FL").file("train.log"), f"{FAILED}disk full\n")
    of_ce, of_fl, running, failed, _ = folder.command("status", folder.file)
    assert of_ce == "small CE   10% of the epochs  3 waiting, 1 running"
    assert of_fl == "small FL    0% of the epochs  3 waiting, 1 failed"
    assert running.startswith(f"{RUN}  running  epoch 2/7")
    assert "disk full" in failed


def test_a_summary_is_a_line_for_each_experiment(folder):
    assert folder.command("status", folder.file, "--summary") == [
        "small    0% of the epochs  8 waiting",
        "8 waiting; 40 epochs left",
    ]


def test_the_status_of_the_papers_study_fits_a_screen(capsys, tmp_path):
    from equal_losses.commands.main import main

    paper = str(ROOT / "config" / "paper.yaml")
    assert main(["status", paper, "--directory", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) <= 24
    assert sum(int(part.split()[0]) for part in printed[-1].split(";")[0].split(", ")) >= 576


def test_status_is_json_on_demand(folder):
    log(folder, folder.of_run().file("train.log"), f"{FAILED}disk full\n")
    answer = json.loads("".join(folder.command("status", folder.file, "--json")))
    (failed,) = [run for run in answer["runs"] if run["state"] == "failed"]
    assert (failed["name"], failed["error"], failed["epochs"]) == (RUN, "disk full", 7)
    assert (answer["totals"]["failed"], answer["totals"]["waiting"]) == (1, 7)


def test_results_may_be_in_another_folder(folder, tmp_path_factory, monkeypatch):
    folder.make(folder.of_run(), "run.json")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert folder.command("status", folder.file)[-1].startswith("8 waiting; ")
    assert folder.command("status", folder.file, "--directory", str(folder.root))[-1].startswith("7 waiting, 1 done; ")


def test_watching_prints_again_until_it_is_interrupted(folder, monkeypatch):
    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            raise KeyboardInterrupt

    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", sleep)
    assert len(folder.command("status", folder.file, "--watch", "--all")) == 2 * 9


def test_a_misspelt_study_is_one_line_and_status_2(folder):
    folder.config["losses"]["CE"]["kind"] = "cross_entrpy"
    line = folder.refused("status", folder.file)
    assert line.startswith("losses.CE.kind: 'cross_entrpy' (did you mean cross_entropy?); allowed: ")


def test_a_folder_that_is_not_there_is_one_line_and_status_2(folder):
    line = folder.refused("status", folder.file, "--directory", "nowhere")
    assert line == "--directory: nowhere: no such folder; expected the one that has results/"
