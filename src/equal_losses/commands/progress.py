"""How far a study is, from its files alone: it works on a login node and while nothing runs.

A job touches its log every `shell.HEARTBEAT_SECONDS`, and the last line of a log tells how the job ended. A log that
says nothing of its end and is silent belongs to a job that was killed; its run goes on from its checkpoint when the
workflow is run again.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from equal_losses.running.progress import is_written, last_line, last_rows
from equal_losses.running.shell import FAILED, HEARTBEAT_SECONDS, STOPPED
from equal_losses.study import paths
from equal_losses.study.grid import Run, Stack, Trunk
from equal_losses.study.keys import Steps, place_of
from equal_losses.study.step import Step
from equal_losses.terminal.time_left import Work, seconds_left, units

STATES = ("waiting", "running", "stopped", "failed", "done")
# Silent for so long, a job is no more: a few beats, for the clocks and caches of a network file system.
SILENCE_SECONDS = 6 * HEARTBEAT_SECONDS
# Of what runs and of what failed, so many are shown one by one.
SHOWN = 8


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
    """Every run of a study; of trunks those that run or failed, and of anything else what failed."""
    trainings = []
    for experiment in steps.study.experiments.values():
        candidates = [run for choice in experiment.choices for run in choice.candidates]
        trainings += [_of_run(run, steps) for run in (*experiment.runs, *candidates)]
        for trunk in experiment.trunks:
            found = _of_log(steps.trunk(trunk), steps.root, "train_trunk.log", trunk.to)
            if found.state == "failed" or (found.state == "running" and found.epoch < trunk.to):
                trainings.append(found)
    told = {training.log for training in trainings}
    return trainings + [failed for failed in _other_failures(steps) if failed.log not in told]


def hours_left(steps: Steps, trainings: Iterable[Training]) -> float | None:
    """Hours until all is done at the speed of what was trained so far, if as many jobs run at a time as now.

    None where nothing runs, or where nothing was trained yet.
    """
    works = [Work("small", 0) for step in steps.by_path.values() if not steps.is_made(step)]
    for experiment in steps.study.experiments.values():
        for training in experiment.trainings:
            works.append(_work(training, steps.training(training), steps, "train.log", training.epochs))
            if training.has_features:
                snapshots = units(training, (len(training.snapshot_epochs) + 1) / 3)
                works.append(Work("features", snapshots, float(steps.is_made(steps.features(training)))))
        works += [_work(each, steps.trunk(each), steps, "train_trunk.log", each.to) for each in experiment.trunks]
    running = {training.log for training in trainings if training.state == "running"}
    seconds = seconds_left(works, len(running)) if running else None
    return None if seconds is None else seconds / 3600


def _work(part: Run | Stack | Trunk, step: Step, steps: Steps, log: str, until: int) -> Work:
    """What a training has to do and has done, from its log."""
    own = part.own_epochs
    work = Work(part.width, units(part, own), float(steps.is_made(step)))
    path = steps.root / step.file(log)
    rows = last_rows(path) if path.exists() else []
    if rows and rows[0].epochs_per_hour:
        done = rows[0].epoch - (until - own)
        work.share = work.share or min(1.0, done / own)
        work.seconds = 3600 * done / rows[0].epochs_per_hour
    return work


def _other_failures(steps: Steps) -> Iterator[Training]:
    """Jobs whose logs say that they failed, of results that are not there."""
    seen = set()
    for step in steps.by_path.values():
        if isinstance(step.subject, Trunk) or steps.is_made(step):
            continue
        path = steps.root / step.path
        # One job makes several tables, in a log that has its rule's name.
        names = ("align_features", "collect", "theory_tables")
        logs = path.glob("*.log") if step.is_keyed else [path.with_name(f"{each}.log") for each in (path.name, *names)]
        for log in set(logs) - seen:
            seen.add(log)
            line = last_line(log)
            if line.startswith(FAILED):
                name = str(log.relative_to(steps.root).with_suffix("")).removeprefix("results/")
                yield Training(name, "failed", 0, 0, error=line.removeprefix(FAILED), log=_relative(log, steps))


def _relative(log: Path, steps: Steps) -> str:
    return str(log.relative_to(steps.root))


def totals(trainings: Iterable[Training], hours: float | None = None) -> dict[str, object]:
    """Runs by state, epochs, and the hours that are left (see `hours_left`)."""
    trainings = list(trainings)
    counts = Counter(training.state for training in trainings)
    return {
        **{state: counts[state] for state in STATES},
        "epochs_left": sum(training.epochs - training.epoch for training in trainings),
        "eta_hours": hours,
    }


def text(trainings: Iterable[Training], hours: float | None = None, detail: str = "losses") -> str:
    """How far a study is, and the totals.

    Args:
        detail: "runs" for a line for each training; "losses" for a line for each loss of an experiment, and for some of
            what runs and of what failed; "experiments" for a line for each experiment alone.
    """
    trainings = list(trainings)
    if detail == "runs":
        lines = _lines(trainings)
    else:
        lines = _grouped(trainings, 3 if detail == "losses" else 2)
        if detail == "losses":
            for state in ("running", "failed"):
                of_state = [training for training in trainings if training.state == state]
                lines += _lines(of_state[:SHOWN])
                lines += [f"and {len(of_state) - SHOWN} more {state}"] if len(of_state) > SHOWN else []
    left = "" if hours is None else f"; about {_hours(hours)} left"
    epochs = sum(training.epochs - training.epoch for training in trainings)
    return "\n".join([*lines, f"{_states(trainings)}; {epochs:,} epochs left{left}"])


def _grouped(trainings: list[Training], parts: int) -> list[str]:
    groups: dict[str, list[Training]] = {}
    for training in trainings:
        kind, *names = training.name.split("/")
        if kind in ("runs", "tuning"):
            groups.setdefault(" ".join(names[: parts - 1]), []).append(training)
    width = max(map(len, groups), default=0)
    lines = []
    for name, members in groups.items():
        done, all_of_them = (sum(getattr(each, key) for each in members) for key in ("epoch", "epochs"))
        lines.append(f"{name:<{width}}  {done / max(1, all_of_them):>4.0%} of the epochs  {_states(members)}")
    return lines


def _lines(trainings: list[Training]) -> list[str]:
    width = max((len(training.name) for training in trainings), default=0)
    return [f"{training.name:<{width}}  {_line(training)}" for training in trainings]


def _states(trainings: list[Training]) -> str:
    counts = Counter(training.state for training in trainings)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])


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
    step = steps.run(run) if run.candidate is None else steps.training(run)
    # A run of the grid has the same name wherever it is trained.
    name = _name(place_of(paths.RUN, run)) if run.candidate is None else _name(step.place)
    if not steps.is_made(step):
        # A run that will be linked is as far as what it will be linked to.
        sources = [steps.training(source) for source in run.sources or [run.training]]
        member = run.name if isinstance(run.training, Stack) else None
        left = [source for source in sources if not steps.is_made(source)]
        found = [_of_log(source, steps.root, "train.log", run.epochs, member) for source in left]
        found.sort(key=lambda training: ("running", "failed", "stopped", "waiting").index(training.state))
        return replace(found[0], name=name) if found else Training(name, "waiting", run.epochs, run.epochs)
    # What is left after training takes seconds; only its failure is worth a word.
    after = []
    if run.candidate is None:
        measured = [steps.features(source) for source in (*run.sources, run.training)]
        after = [*((each, "extract_features.log") for each in measured), (steps.metrics(run.training), ".log")]
    for each, log in after:
        last = _of_log(each, steps.root, log, run.epochs)
        if last.state == "failed":
            return replace(last, name=name, epoch=run.epochs)
    return Training(name, "done", run.epochs, run.epochs)


def _of_log(step: Step, root: Path, file: str, epochs: int, member: str | None = None) -> Training:
    """What a log of a step says of a training; `member` is its name in a stack, of which any will do if it is None."""
    name, log = _name(step.place), step.file(file)
    if not (root / log).exists():
        return Training(name, "waiting", 0, epochs)
    found = [row for row in last_rows(root / log) if member in (None, row.member)]
    row = found[0] if found else None
    epoch = row.epoch if row else 0
    seen: dict = {"log": log}
    if row is not None:
        seen |= {"loss": row.loss, "train_accuracy": row.train_accuracy, "val_accuracy": row.val_accuracy}
    line = last_line(root / log)
    if line.startswith(FAILED):
        return Training(name, "failed", epoch, epochs, **seen, error=line.removeprefix(FAILED))
    if line.startswith(STOPPED) or not is_written(root / log, SILENCE_SECONDS):
        return Training(name, "stopped", epoch, epochs, **seen)
    rate = row.epochs_per_hour if row else None
    return Training(name, "running", epoch, epochs, rate, (epochs - epoch) / rate if rate else None, **seen)


def _name(place: str) -> str:
    return "/".join(part for part in place.split("/")[1:] if part != "{key}")
