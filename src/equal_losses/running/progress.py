"""What a job says of itself in its log, and how it is read again: who it is, and how far a training is."""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

EPOCH = re.compile(
    r"^(?:(?P<member>.+): )?epoch +(?P<epoch>\d+)/\d+ .* loss (?P<loss>\S+)  "
    r"train (?P<train>[\d.]+)%  val (?P<val>[\d.]+)%  .*?(?P<rate>\S+) epochs/h",
    re.MULTILINE,
)


_PROCESS = re.compile(r"process (?P<number>\d+) on (?P<host>\S+), log (?P<log>\d+)\n")


class Progress:
    """Prints one line per epoch, with the time that is left (see `EPOCH`).

    Args:
        epochs: the budget of the run.
        begin, until: epochs completed before and after this job.
    """

    def __init__(self, epochs: int, begin: int, until: int):
        self._epochs, self._begin, self._until = epochs, begin, until
        self._started = time.perf_counter()

    def __call__(self, row: Mapping[str, float], member: str = "") -> None:
        """Report a row of the history (see `training.loop.train`); `member` is whose it is, in a stack."""
        done = row["epoch"]
        seconds_per_epoch = (time.perf_counter() - self._started) / (done - self._begin)
        left = seconds_per_epoch * (self._until - done)
        print(
            f"{member and f'{member}: '}epoch {done:>{len(str(self._epochs))}}/{self._epochs}  "
            f"lr {row['learning_rate']:g}  loss {row['train_loss']:.5g}  train {row['train_accuracy']:.2%}  "
            f"val {row['val_accuracy']:.2%}  {row['images_per_second']:,.0f} images/s  "
            f"{3600 / seconds_per_epoch:.4g} epochs/h  ETA {timedelta(seconds=round(left))}",
            flush=True,
        )


def process(log: int) -> str:
    """The first line of a log, of which this is the descriptor: by it a copy of the log is told from the log itself."""
    return f"process {os.getpid()} on {os.uname().nodename}, log {os.fstat(log).st_ino}\n"


def is_written(log: Path, silence: float) -> bool:
    """Whether the job of this log is still there, as far as it can be seen from here.

    It is not where the log is a copy, the process is no more, or the log was not touched for so many seconds.
    """
    with open(log, encoding="utf-8", errors="replace") as file:
        found, state = _PROCESS.match(file.readline()), os.fstat(file.fileno())
    if time.time() - state.st_mtime > silence:
        return False
    if found is None:
        return True
    if int(found["log"]) != state.st_ino:
        return False
    return found["host"] != os.uname().nodename or Path(f"/proc/{found['number']}").exists()


@dataclass(frozen=True)
class Row:
    """What a line says of an epoch; accuracies are in 0..1, `member` is whose it is, in a stack."""

    member: str | None
    epoch: int
    loss: float
    train_accuracy: float
    val_accuracy: float
    epochs_per_hour: float


def rows(text: str) -> list[Row]:
    """Every epoch that a log tells of."""
    return [
        Row(
            found["member"],
            int(found["epoch"]),
            float(found["loss"]),
            float(found["train"]) / 100,
            float(found["val"]) / 100,
            float(found["rate"]),
        )
        for found in EPOCH.finditer(text)
    ]


def last_rows(log: Path) -> list[Row]:
    """The last epoch that a log tells of, one row for each member; the log is read from its end."""
    last: dict[str | None, Row] = {row.member: row for row in rows(end_of(log))}
    return [row for row in last.values() if row.epoch == max(row.epoch for row in last.values())]


def end_of(log: Path, size: int = 1 << 15) -> str:
    """The last bytes of a log."""
    with open(log, "rb") as file:
        file.seek(max(0, file.seek(0, 2) - size))
        return file.read().decode(errors="replace")


def last_line(log: Path) -> str:
    """The last line of a log that says something; nothing where there is no log."""
    try:
        return end_of(log).rstrip().rpartition("\n")[2]
    except OSError:
        return ""
