"""What is said on the terminal, event by event, of a workflow that does not run."""

from __future__ import annotations

import io
import os
import subprocess
import time
from logging import ERROR, INFO, LogRecord
from types import SimpleNamespace

import pytest

from equal_losses.running.shell import FAILED, STOPPED
from equal_losses.terminal import terminal as module
from equal_losses.terminal.suggestions import suggestion
from equal_losses.terminal.terminal import Terminal

from ..study.studies import steps_of

EPOCH = "epoch {epoch}/7  lr 0.1  loss 1.5  train 50.00%  val 62.50%  5,000 images/s  1200 epochs/h  ETA 0:00:15\n"


class Told:
    """A terminal, and a workflow that tells it what happens."""

    def __init__(self, steps, stream, **options):
        self.steps, self.stream = steps, stream
        self.terminal = Terminal(steps, "results/studies/small/report.html", ["all", "figures", "theory"])
        self.terminal.open(stream, **options)
        self.numbers: dict[str, int] = {}

    def plan(self, **outputs: str) -> Told:
        """Jobs by the names of their rules, and their outputs; those of a rule are told apart by what follows `__`."""
        self.numbers = {name: number for number, name in enumerate(outputs)}
        rules = {name: SimpleNamespace(name=name.partition("__")[0]) for name in outputs}
        self.terminal.plan(
            SimpleNamespace(jobid=self.numbers[name], rule=rules[name], output=[path]) for name, path in outputs.items()
        )
        return self

    def event(self, event: str | None, message: str = "", level: int = INFO, **fields) -> None:
        record = LogRecord("snakemake", level, "", 0, message, None, None)
        vars(record).update(fields, event=event)
        self.terminal.tell(record)

    def start(self, name: str, log: str | None = None) -> None:
        self.event("job_started", jobs=[self.numbers[name]])
        self.event("job_info", jobid=self.numbers[name], log=[log] if log else [])

    def finish(self, name: str) -> None:
        self.event("job_finished", job_id=self.numbers[name])

    def fail(self, name: str, log: str | None) -> None:
        rule = name.partition("__")[0]
        logs = [log] if log else []
        self.event("job_error", level=ERROR, jobid=self.numbers[name], log=logs, rule_name=rule, output=[])

    def end(self) -> list[str]:
        self.terminal.close()
        return self.stream.getvalue().splitlines()


@pytest.fixture
def told(small_config, tmp_path, monkeypatch) -> Told:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log").write_text("device: CPU\n")
    return Told(steps_of(small_config, tmp_path), io.StringIO())


def run_path(told: Told, index: int = 0) -> str:
    """The history of a run of the study."""
    run = told.steps.study.experiments["small"].runs[index]
    return str(told.steps.root / told.steps.run(run).file("history.csv"))


def test_a_finished_training_and_a_tenth_of_the_jobs_are_a_line_each(told, tmp_path):
    told.plan(train=run_path(told, 1), figure="results/figures/small/overview.pdf")
    told.start("train", "log")
    (tmp_path / "log").write_text(EPOCH.format(epoch=7))
    told.finish("train")
    first, second, *_ = told.end()
    assert first == "trained: CE width 0.25 epochs 7 seed 1  validation 62.5 %"
    assert second.startswith("1 of 2 jobs · 1 of 1 run trained · about ")


def test_a_study_of_a_thousand_jobs_is_a_few_lines(told):
    told.plan(**{f"train__{number}": run_path(told) for number in range(1000)})
    for name in told.numbers:
        told.start(name, "log")
        told.finish(name)
    assert len(told.end()) < 30


def test_at_the_end_it_says_what_was_made_and_where_the_page_is(told, tmp_path):
    page = tmp_path / "results/studies/small/report.html"
    page.parent.mkdir(parents=True)
    page.touch()
    told.plan(
        train=run_path(told), figure="results/figures/small/overview.pdf", page="results/studies/small/report.html"
    )
    for name in told.numbers:
        told.start(name)
        told.finish(name)
    *_, last, figure = told.end()
    assert last.startswith("Done in ")
    assert last.endswith(": 3 jobs (1 run, 1 figure, 1 page). The page: results/studies/small/report.html")
    assert figure == "  results/figures/small/overview.pdf"


def test_a_failed_job_is_named_with_its_cause_and_its_log(told, tmp_path):
    told.plan(train=run_path(told, 1), figure="results/figures/small/overview.pdf")
    told.start("train", "log")
    (tmp_path / "log").write_text(f"{EPOCH.format(epoch=1)}{FAILED}training diverged: the loss is nan\n")
    told.event("error", "RuleException:\nCalledProcessError in file train.smk", ERROR)
    told.fail("train", "log")
    lines = told.end()
    assert lines[0] == "failed: train CE width 0.25 epochs 7 seed 1: training diverged: the loss is nan"
    assert lines[1:4] == [
        "failed: train CE width 0.25 epochs 7 seed 1",
        "  why: training diverged: the loss is nan",
        "  log: log",
    ]
    assert lines[4] == "1 job failed; 0 done, 1 not begun."
    assert "CalledProcessError" not in "\n".join(lines)


def test_a_job_that_fails_before_its_log_exists_has_the_cause_that_snakemake_knows(told):
    told.plan(figure="results/figures/small/overview.pdf")
    told.start("figure", "nowhere")
    told.event("error", "CalledProcessError in file figures.smk:\n    ... died with <Signals.SIGKILL: 9>.", ERROR)
    told.fail("figure", "nowhere")
    assert "  why: killed by SIGKILL" in told.end()


def test_a_job_that_is_tried_again_has_not_failed(told, tmp_path):
    told.plan(train=run_path(told))
    told.start("train", "log")
    (tmp_path / "log").write_text(f"{FAILED}node lost\n")
    told.fail("train", "log")
    told.start("train", "log")
    told.finish("train")
    assert told.end()[-1].startswith("Done in ")


def test_an_interruption_says_so_and_what_the_same_command_does(told, tmp_path):
    told.plan(train=run_path(told), figure="results/figures/small/overview.pdf")
    told.start("train", "log")
    (tmp_path / "log").write_text(f"{STOPPED}by SIGINT\n")
    told.event(None, "Terminating processes on user request, this might take some time.")
    told.fail("train", "log")
    told.event("error", "WorkflowError:\nAt least one job did not complete successfully.", ERROR)
    lines = told.end()
    assert lines[0].startswith("Interrupted: waiting for what runs")
    assert lines[1].startswith("Interrupted after ")
    assert lines[1].endswith(": 0 jobs done, 2 left.")
    assert lines[2].startswith("The same command goes on from here")
    assert len(lines) == 3


def test_errors_of_snakemake_are_shown(told):
    told.event("error", "WorkflowError:\nError: Directory cannot be locked.", ERROR)
    assert told.end() == ["WorkflowError:", "Error: Directory cannot be locked."]


def test_a_misspelt_target_gets_a_suggestion(told):
    told.event("error", "MissingRuleException:\nNo rule to produce figurs (if you use input functions ...).", ERROR)
    assert told.end()[-1] == "did you mean figures?"


def test_a_misspelt_file_gets_a_suggestion(told):
    told.event("error", "MissingRuleException:\nNo rule to produce results/figures/small/overveiw.pdf (if you", ERROR)
    assert told.end()[-1] == "did you mean results/figures/small/overview.pdf?"


def test_a_misspelt_name_of_a_figure_is_one_line_and_a_suggestion(told):
    """What an input function of a rule raises, whose pattern the name fits."""
    line = "results/figures/small/overveiw: no result of this study; `equal-losses why` says"
    told.event("error", f"InputFunctionException in rule figure:\n  WorkflowError:\n    {line}\nTraceback:\n", ERROR)
    assert told.end() == [line, "did you mean results/figures/small/overview.pdf?"]


def test_nothing_is_suggested_where_nothing_is_close():
    assert suggestion("No rule to produce xyzzy (if", ["all", "figures"]) is None
    assert suggestion("something else", ["all"]) is None


def test_nothing_to_be_done_is_said(told):
    told.event(None, "Nothing to be done (all requested files are present and up to date).")
    assert told.end() == ["Nothing to be done: all that was asked for is there."]


def test_a_dry_run_counts_the_jobs_of_each_kind_once(small_config):
    told = Told(steps_of(small_config), io.StringIO(), dry=True)
    for _ in range(2):
        told.event("run_info", stats={"train": 1000, "nc_metrics": 8, "total": 1008})
    assert told.end() == [
        "1,008 jobs to do; this is a dry run, and nothing is done:",
        "   1,000  train",
        "       8  nc metrics",
    ]


def test_in_quiet_only_failures_are_told(small_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = Told(steps_of(small_config, tmp_path), io.StringIO(), quiet=True)
    told.plan(train=run_path(told, 1))
    told.start("train")
    told.event(None, "some information")
    told.finish("train")
    assert told.end() == []


def test_what_is_drawn_names_what_runs_and_how_far_it_is(told, tmp_path):
    told.plan(train=run_path(told, 1), figure="results/figures/small/overview.pdf")
    told.start("train", "log")
    told.start("figure")
    (tmp_path / "log").write_text(EPOCH.format(epoch=6))
    console = module._console(io.StringIO())
    console.width = 110
    console.print(told.terminal._drawn())
    training, figure, total = console.file.getvalue().splitlines()
    assert training.split()[:8] == ["train", "CE", "width", "0.25", "epochs", "7", "seed", "1"]
    assert "6/7" in training
    assert training.rstrip().endswith("loss 1.5  validation 62.5 %")
    assert figure.strip() == "figure overview"
    assert total.startswith("0 of 2 jobs · 0 of 1 run trained · about")
    told.end()


def test_a_log_of_an_earlier_attempt_says_nothing(told, tmp_path):
    told.plan(train=run_path(told, 1))
    (tmp_path / "log").write_text(EPOCH.format(epoch=6))
    os.utime(tmp_path / "log", (time.time() - 100, time.time() - 100))
    told.start("train", "log")
    assert told.terminal._jobs[0].rows() == []
    told.end()


def test_what_others_write_past_the_terminal_is_shown_but_for_what_logs_say_anyway(told, capfd):
    told.plan(train=run_path(told))
    told.start("train", "log")
    subprocess.run(["sh", "-c", "echo a warning >&2; echo 'diverged (log: log)' >&2"], check=True)
    told.finish("train")
    assert "a warning" in told.end()
    assert "diverged" not in told.stream.getvalue()
    os.write(2, b"given back\n")
    assert capfd.readouterr().err == "given back\n"


def test_stacks_and_trunks_have_names(small_config, tmp_path):
    small_config["experiments"]["small"] |= {"stack": 2, "epochs": [7, 14], "seeds": [1, 2]}
    told = Told(steps_of(small_config, tmp_path), io.StringIO())
    steps = told.steps
    (experiment,) = steps.study.experiments.values()
    stack, trunk = experiment.trainings[0], experiment.trunks[0]
    told.plan(train_stack=steps.training(stack).file("x"), train_stack_trunk=steps.trunk(trunk).file("x"))
    first, second = told.terminal._jobs.values()
    assert first.title == "train stack CE, FL width 0.25 epochs 7 seed 1"
    assert (first.runs, first.begin, first.until) == (2, trunk.to, 7)
    assert second.title == f"train stack trunk CE, FL width 0.25 to epoch {trunk.to} seed 1"
    assert second.runs == 0
