"""The shell around a job: its log, its progress and how it ends when something is wrong.

Nothing here has a say in what a job computes, so nothing here counts for its key (see `provenance`).
"""

from __future__ import annotations

import errno
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from .errors import InputError

# What the user has to mend, although nothing is wrong with the input.
_STORAGE_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EPERM}


@contextmanager
def job(log: str | os.PathLike) -> Iterator[None]:
    """Send all output, of libraries too, to `log`; on an error say one line on the terminal and end the process.

    Exit status: 2 where the user can mend it (bad input, a full or read-only disk), 1 for anything else, whose
    traceback is in the log.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    terminal = os.dup(2)
    outputs = os.dup(1), terminal
    with open(log, "w", buffering=1, encoding="utf-8") as file:
        sys.stdout.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        except Exception as error:
            line = _one_line(error)
            if line is None:
                traceback.print_exc(file=file)
                line = f"{type(error).__name__}: {error}"
                status = 1
            else:
                file.write(line + "\n")
                status = 2
            os.write(terminal, f"{line} (log: {log})\n".encode())
            sys.exit(status)
        finally:
            sys.stdout.flush()
            for descriptor, original in zip((1, 2), outputs, strict=True):
                os.dup2(original, descriptor)
                os.close(original)


def _one_line(error: Exception) -> str | None:
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _STORAGE_ERRORS:
        return f"{error.filename or 'results'}: {error.strerror}; what was finished before is unharmed"
    return None


class Progress:
    """Prints a line an epoch, with the time that is left.

    Args:
        epochs: the budget of the run.
        begin, until: epochs completed before and after this job.
    """

    def __init__(self, epochs: int, begin: int, until: int):
        self._epochs, self._begin, self._until = epochs, begin, until
        self._started = time.perf_counter()

    def __call__(self, row: Mapping[str, float]) -> None:
        """Report a row of the history (see `training.train`)."""
        done = row["epoch"]
        left = (time.perf_counter() - self._started) / (done - self._begin) * (self._until - done)
        print(
            f"epoch {done:>{len(str(self._epochs))}}/{self._epochs}  lr {row['learning_rate']:g}  "
            f"loss {row['train_loss']:.5g}  train {row['train_accuracy']:.2%}  val {row['val_accuracy']:.2%}  "
            f"{row['images_per_second']:,.0f} images/s  ETA {timedelta(seconds=round(left))}",
            flush=True,
        )
