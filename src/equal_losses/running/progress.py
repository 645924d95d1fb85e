"""The line that a training prints for each epoch, and how it is read again."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import timedelta

EPOCH = re.compile(
    r"^(?:(?P<member>.+): )?epoch +(?P<epoch>\d+)/\d+ .* loss (?P<loss>\S+)  "
    r"train (?P<train>[\d.]+)%  val (?P<val>[\d.]+)%  .*?(?P<rate>\S+) epochs/h",
    re.MULTILINE,
)


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
