"""How far a study is, from its files alone: it works on a login node and while nothing runs.

A job touches its log every `jobs.HEARTBEAT_SECONDS`, and the last line of a log tells how the job ended. A log that
says nothing of its end and is silent belongs to a job that was killed; its run goes on from its checkpoint when the
workflow is run again.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .files import read_json
from .jobs import FAILED, HEARTBEAT_SECONDS, STOPPED
from .study import Run, Stem, Study

STATES = ("waiting", "running", "stopped", "failed", "done")
# Silent for so long, a job is no more: a few beats, for the clocks and caches of a network file system.
SILENCE_SECONDS = 6 * HEARTBEAT_SECONDS

_EPOCH = re.compile(
    r"^(?:(?P<member>.+): )?epoch +(?P<epoch>\d+)/\d+ .* loss (?P<loss>\S+)  "
    r"train (?P<train>[\d.]+)%  val (?P<val>[\d.]+)%  .*?(?P<rate>\S+) epochs/h",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Progress:
    """One training.

    Attributes:
        name: path of the run below results/runs (or tuning, stems).
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


def of_study(study: Study, directory: Path) -> list[Progress]:
    """Every run of a study, and of the shared stems those that run or failed."""
    trainings = []
    for experiment in study.experiments.values():
        runs = [_of_run(run, directory) for run in (*experiment.runs, *experiment.candidates)]
        stems = [
            _of_log(stem, directory, [stem.log_directory / "train_stem.log"], stem.to) for stem in experiment.stems
        ]
        trainings += [*runs, *(stem for stem in stems if stem.state in ("running", "failed"))]
    return trainings


def totals(trainings: Iterable[Progress]) -> dict[str, object]:
    """Runs by state, epochs, and the hours that are left at the rate of what is running."""
    trainings = list(trainings)
    counts = Counter(training.state for training in trainings)
    left = sum(training.epochs - training.epoch for training in trainings if training.state != "done")
    rate = sum(training.epochs_per_hour or 0 for training in trainings)
    return {
        **{state: counts[state] for state in STATES},
        "epochs_left": left,
        "epochs_per_hour": rate,
        "eta_hours": left / rate if rate else None,
    }


def text(trainings: Iterable[Progress]) -> str:
    """A line a training, and the totals."""
    trainings = list(trainings)
    width = max(len(training.name) for training in trainings)
    lines = [f"{training.name:<{width}}  {_line(training)}" for training in trainings]
    total = totals(trainings)
    counts = ", ".join(f"{total[state]} {state}" for state in STATES if total[state])
    eta = ""
    if total["eta_hours"] is not None:
        eta = f" at {total['epochs_per_hour']:,.0f} epochs/h: {_hours(total['eta_hours'])}"
    return "\n".join([*lines, f"{counts}; {total['epochs_left']:,} epochs left{eta}"])


def _line(training: Progress) -> str:
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
    return f"{int(hours)}:{round(60 * (hours % 1)):02d} h"


def _of_run(run: Run, directory: Path) -> Progress:
    record = directory / run.directory / "run.json"
    try:
        trained = read_json(record)["key"] == run.train_key
    except (OSError, KeyError, ValueError):
        trained = False
    if not trained:
        return _of_log(run, directory, [run.log_directory / "train.log"], run.epochs)
    # What is left after training takes seconds; only its failure is worth a word.
    logs = [run.log_directory / "extract_features.log", run.directory / "nc_metrics.log"]
    after = _of_log(run, directory, logs, run.epochs)
    error = {"error": after.error, "log": after.log} if after.state == "failed" else {}
    return Progress(_name(run), "failed" if error else "done", run.epochs, run.epochs, **error)


def _of_log(part: Run | Stem, directory: Path, logs: list[Path], epochs: int) -> Progress:
    found = [log for log in logs if (directory / log).exists()]
    if not found:
        return Progress(_name(part), "waiting", 0, epochs)
    log = found[-1]
    content = (directory / log).read_text(encoding="utf-8", errors="replace")
    last = content.rstrip().rpartition("\n")[2]
    rows = (row for row in _EPOCH.finditer(content) if row["member"] in (None, part.member))
    *_, row = (None, *rows)
    epoch = int(row["epoch"]) if row else 0
    seen = {} if row is None else {"loss": float(row["loss"])}
    seen |= {} if row is None else {f"{split}_accuracy": float(row[split]) / 100 for split in ("train", "val")}
    if last.startswith(FAILED):
        return Progress(_name(part), "failed", epoch, epochs, **seen, error=last.removeprefix(FAILED), log=str(log))
    silent = time.time() - (directory / log).stat().st_mtime > SILENCE_SECONDS
    if last.startswith(STOPPED) or silent:
        return Progress(_name(part), "stopped", epoch, epochs, **seen, log=str(log))
    rate = float(row["rate"]) if row else None
    eta = (epochs - epoch) / rate if rate else None
    return Progress(_name(part), "running", epoch, epochs, rate, eta, **seen, log=str(log))


def _name(part: Run | Stem) -> str:
    return str(Path(*part.directory.parts[1:]))
