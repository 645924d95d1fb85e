"""Jobs of a workflow in the words of the study, and how much there is to do in each."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from equal_losses.running.progress import Row, last_rows
from equal_losses.running.words import count
from equal_losses.study.grid import Experiment, Run, Stack, Trunk
from equal_losses.study.keys import Steps
from equal_losses.study.step import Step
from equal_losses.terminal.time_left import Work, units

# What jobs of these rules make, as it is counted at the end.
PRODUCTS = {
    "prepare_dataset": "dataset",
    "figure": "figure",
    "theory_figure": "figure",
    "align_features": "table",
    "table": "table",
    "collect": "table",
    "claims": "ledger",
    "page": "page",
}


@dataclass
class Job:
    """A job.

    Attributes:
        rule: name of its rule.
        title: what it makes, for reading.
        path: its first output.
        begin, until: epochs completed before and after a training; None of anything else.
        runs: how many runs it trains to their end.
        budget: the number of epochs that its log counts to.
        work: what is to be done, for the time that is left.
        log: where it writes, once Snakemake has said so.
        started, ended: seconds since the epoch of the clock.
    """

    rule: str
    title: str
    path: str
    work: Work
    begin: int | None = None
    until: int | None = None
    runs: int = 0
    log: str | None = None
    started: float | None = None
    ended: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.started is not None and self.ended is None

    def rows(self) -> list[Row]:
        """The lines of its last epoch, one of each run that it trains; none while a cluster lets it wait."""
        if self.log is None or self.started is None:
            return []
        log = Path(self.log)
        try:
            return last_rows(log) if log.stat().st_mtime > self.started - 1 else []
        except OSError:
            return []

    def measure(self) -> list[Row]:
        """Note how far it is; returns the lines of its last epoch."""
        if self.started is None:
            return []
        self.work.seconds = (self.ended or time.time()) - self.started
        rows = self.rows() if self.until is not None else []
        if self.ended is not None:
            self.work.share = 1.0
        elif rows:
            self.work.share = min(1.0, (rows[0].epoch - self.begin) / (self.until - self.begin))
        return rows


def described(rule: str, output: str, steps: Steps) -> Job:
    """The job of a rule that makes this file."""
    path = Path(output)
    inside = path.relative_to(steps.root) if path.is_relative_to(steps.root) else path
    step = steps.making(inside)
    subject = None if step is None else step.subject
    title = f"{rule.replace('_', ' ')} {_name(subject, step, steps)}".strip()
    if isinstance(subject, Run | Stack | Trunk) and rule.startswith("train"):
        until = subject.to if isinstance(subject, Trunk) else subject.epochs
        begin = until - subject.own_epochs
        runs = 0 if isinstance(subject, Trunk) else len(subject.members)
        work = Work((rule, subject.width), units(subject, subject.own_epochs))
        return Job(rule, title, output, work, begin, until, runs)
    amount = 0.0
    if isinstance(subject, Run | Stack) and rule.startswith("extract"):
        amount = units(subject, (len(subject.snapshot_epochs) + 1) / 3)  # a forward pass is a third of an epoch
    if isinstance(subject, Experiment) and rule == "align_features":
        (model, *_), models = subject.largest_runs, len(subject.largest_runs)
        amount = units(model, models / 3)
    return Job(rule, title, output, Work((rule, getattr(subject, "width", None)), amount))


def made(jobs: Iterable[Job]) -> str:
    """What was made, counted."""
    counts: Counter[str] = Counter()
    for job in jobs:
        counts["run"] += job.runs
        counts[PRODUCTS.get(job.rule, "")] += 1
    del counts[""]
    return ", ".join(count(number, noun) for noun, number in counts.items() if number)


def _name(subject: object, step: Step | None, steps: Steps) -> str:
    several = len(steps.study.experiments) > 1
    if isinstance(subject, Run | Stack | Trunk):
        members = subject.members
        losses = ", ".join(dict.fromkeys(run.loss for run in members))
        seeds = [*dict.fromkeys(run.seed for run in members)]
        budget = f"to epoch {subject.to}" if isinstance(subject, Trunk) else f"epochs {subject.epochs}"
        words = [losses, f"width {subject.width:g}", budget]
        words.append(f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}")
        candidate = getattr(subject, "candidate", None)
        tuned = subject.experiment.tuned
        words += [f"{tuned.replace('_', ' ')} {candidate:g}"] if isinstance(candidate, float | int) else []
        words += [f"({subject.experiment.name})"] if several else []
        return " ".join(words)
    if step is None:
        return ""
    name = Path(step.place.removesuffix("/{key}")).name
    return f"{name} ({subject.name})" if several and isinstance(subject, Experiment) else name
