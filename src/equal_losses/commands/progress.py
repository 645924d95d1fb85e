"""How far a study is, from its files alone: it works on a login node and while nothing runs.

A job touches its log every `shell.HEARTBEAT_SECONDS`, and the last line of a log tells how the job ended. A log that
says nothing of its end and is silent belongs to a job that was killed; its run goes on from its checkpoint when the
workflow is run again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from equal_losses.running.progress import EPOCH
from equal_losses.running.shell import FAILED, HEARTBEAT_SECONDS, STOPPED
from equal_losses.study.grid import Run, Stack
from equal_losses.study.keys import RECORD, Steps
from equal_losses.study.step import Step

STATES = ("waiting", "running", "stopped", "failed", "done")
# Silent for so long, a job is no more: a few beats, for the clocks and caches of a network file system.
SILENCE_SECONDS = 6 * HEARTBEAT_SECONDS


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        name: path of the run below results (runs, tuning, trunks).
        state: one of `STATES`.
        epoch, epochs: completed and in all.
        epochs_per_hour, eta_hours: of a running training, once its first epoch is done.
        loss, train_accuracy, val_accuracy: of the last epoch; accuracies in 0..1.
        error: last error line of a failed one.
        log: its log.
    """

    name: str
    state: str
    epoch: int
    epochs: int
    epochs_per_hour: float | None = None
    eta_hours: float | None = None
    loss: float | None = None
    train_accuracy: float | None = None
    val_accuracy: float | None = None
    error: str | None = None
    log: str | None = None


def of_study(steps: Steps) -> list[Training]:
    """Every run of a study; and of datasets and trunks those that run or failed."""
    trainings = []
    for experiment in steps.study.experiments.values():
        candidates = [run for choice in experiment.choices for run in choice.candidates]
        trainings += [_of_run(run, steps) for run in (*experiment.runs, *candidates)]
        for trunk in experiment.trunks:
            step = steps.trunk(trunk)
            log = step.file("train_trunk.log")
            members = [run.name for run in trunk.longest.members] if isinstance(trunk.longest, Stack) else [None]
            found = _of_log(step, steps.root, log, trunk.to, members[0])
            if found.state == "failed" or (found.state == "running" and found.epoch < trunk.to):
                trainings.append(found)
    for step in map(steps.dataset, steps.study.datasets):
        found = _of_log(step, steps.root, step.file("prepare_dataset.log"), 0)
        if found.state == "failed" and not steps.is_there(step.file(RECORD)):
            trainings.append(found)
    return trainings


def totals(trainings: Iterable[Training]) -> dict[str, object]:
    """Runs by state, epochs, and the hours that are left at the rate of what is running."""
    trainings = list(trainings)
    counts = Counter(training.state for training in trainings)
    left = sum(training.epochs - training.epoch for training in trainings)
    rate = sum(training.epochs_per_hour or 0 for training in trainings)
    return {
        **{state: counts[state] for state in STATES},
        "epochs_left": left,
        "epochs_per_hour": rate,
        "eta_hours": left / rate if rate else None,
    }


def text(trainings: Iterable[Training]) -> str:
    """One line per training, and the totals."""
    trainings = list(trainings)
    width = max(len(training.name) for training in trainings)
    lines = [f"{training.name:<{width}}  {_line(training)}" for training in trainings]
    total = totals(trainings)
    counts = ", ".join(f"{total[state]} {state}" for state in STATES if total[state])
    eta = ""
    if total["eta_hours"] is not None:
        eta = f" at {total['epochs_per_hour']:,.0f} epochs/h: {_hours(total['eta_hours'])}"
    return "\n".join([*lines, f"{counts}; {total['epochs_left']:,} epochs left{eta}"])


def _line(training: Training) -> str:
    parts = [f"{training.state:<7}"]
    if training.state in ("running", "stopped"):
        parts.append(f"epoch {training.epoch}/{training.epochs}")
    if training.state == "running" and training.epochs_per_hour is not None:
        parts.append(f"{training.epochs_per_hour:,.0f} epochs/h  ETA {_hours(training.eta_hours)}")
        parts.append(f"loss {training.loss:g}  train {training.train_accuracy:.2%}  val {training.val_accuracy:.2%}")
    if training.state == "failed":
        parts.append(f"{training.error} (log: {training.log})")
    return "  ".join(parts)


def _hours(hours: float) -> str:
    minutes = round(60 * hours)
    return f"{minutes // 60}:{minutes % 60:02d} h"


def _of_run(run: Run, steps: Steps) -> Training:
    step = steps.run(run) if run.decay is None else steps.training(run)
    if not steps.is_there(step.output(RECORD)):
        # A run that will be linked is as far as what it will be linked to.
        sources = [steps.training(source) for source in run.sources or [run.training]]
        member = run.name if isinstance(run.training, Stack) else None
        left = [source for source in sources if not steps.is_there(source.file(RECORD))]
        found = [_of_log(source, steps.root, source.file("train.log"), run.epochs, member) for source in left]
        found.sort(key=lambda training: ("running", "failed", "stopped", "waiting").index(training.state))
        return (
            replace(found[0], name=_name(step)) if found else Training(_name(step), "waiting", run.epochs, run.epochs)
        )
    # What is left after training takes seconds; only its failure is worth a word.
    after = []
    if run.decay is None:
        measured = [steps.features(source) for source in (*run.sources, run.training)]
        after = [*(each.file("extract_features.log") for each in measured), steps.metrics(run.training).file(".log")]
    for log in after:
        last = _of_log(step, steps.root, log, run.epochs)
        if last.state == "failed":
            return replace(last, epoch=run.epochs)
    return Training(_name(step), "done", run.epochs, run.epochs)


def _of_log(step: Step, root: Path, log: str, epochs: int, member: str | None = None) -> Training:
    """What a log says of a training; `member` is its name in a stack."""
    if not (root / log).exists():
        return Training(_name(step), "waiting", 0, epochs)
    content = (root / log).read_text(encoding="utf-8", errors="replace")
    last = content.rstrip().rpartition("\n")[2]
    rows = (row for row in EPOCH.finditer(content) if row["member"] == member)
    *_, row = (None, *rows)
    epoch = int(row["epoch"]) if row else 0
    seen = {} if row is None else {"loss": float(row["loss"])}
    seen |= {} if row is None else {f"{split}_accuracy": float(row[split]) / 100 for split in ("train", "val")}
    if last.startswith(FAILED):
        return Training(_name(step), "failed", epoch, epochs, **seen, error=last.removeprefix(FAILED), log=log)
    silent = time.time() - (root / log).stat().st_mtime > SILENCE_SECONDS
    if last.startswith(STOPPED) or silent:
        return Training(_name(step), "stopped", epoch, epochs, **seen, log=log)
    rate = float(row["rate"]) if row else None
    eta = (epochs - epoch) / rate if rate else None
    return Training(_name(step), "running", epoch, epochs, rate, eta, **seen, log=log)


def _name(step: Step) -> str:
    return "/".join(part for part in step.path.split("/")[1:] if part != step.key)
