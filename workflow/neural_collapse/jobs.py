"""The shell around a job: its log, its progress and how it ends when something is wrong or when it is told to stop.

Nothing here has a say in what a job computes, so nothing here counts for its key (see `provenance`).
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from .errors import InputError

# The last line of a log begins with one of these, unless the job is done, still there or was killed.
FAILED, STOPPED = "failed: ", "stopped: "
# A job touches its log this often, so that its silence tells from afar that it was killed.
HEARTBEAT_SECONDS = 20
# New objects after which Python looks for garbage. Imports make hundreds of thousands that stay, and at Python's own
# 700 the search through them is a tenth of the time that importing PyTorch takes.
GARBAGE_THRESHOLD = 10_000

# What the user has to mend, although nothing is wrong with the input.
_STORAGE_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EPERM, errno.EFBIG}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Stopped(KeyboardInterrupt):
    """A signal told the job to stop; a KeyboardInterrupt, because that is what one catches to tidy up first."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def job(log: str | os.PathLike) -> Iterator[None]:
    """Send all output, of libraries too, to `log`; on an error say one line on the terminal and end the process.

    Exit status: 2 where the user can mend it (bad input, a full or read-only disk), 1 for anything else, whose
    traceback is in the log. SIGINT, SIGTERM and SIGUSR1 raise `Stopped` in the job, once, and the process then ends by
    the signal.
    """
    gc.set_threshold(GARBAGE_THRESHOLD)
    log = Path(log)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = open(log, "w", buffering=1, encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        print(_one_line(error) or error, file=sys.stderr)
        sys.exit(2)
    terminal = os.dup(2)
    outputs = os.dup(1), terminal
    sys.stdout.flush()
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)

    def end(mark: str, line: str) -> None:
        with suppress(OSError):
            file.write(f"{mark}{line}\n")
        os.write(terminal, f"{line} (log: {log})\n".encode())

    with _stoppable(), _heartbeat(log):
        try:
            yield
            sys.stdout.flush()
        except Stopped as stop:
            end(STOPPED, f"by {stop}; what was computed is kept, and running the workflow again goes on from there")
            signal.signal(stop.number, signal.SIG_DFL)
            os.kill(os.getpid(), stop.number)
        except Exception as error:
            line = _one_line(error)
            if line is None:
                with suppress(OSError):
                    traceback.print_exc(file=file)
            end(FAILED, line or f"{type(error).__name__}: {error}")
            # Without the interpreter's own end: it would flush what a full disk did not take, and complain.
            os._exit(1 if line is None else 2)
    for descriptor, original in zip((1, 2), outputs, strict=True):
        os.dup2(original, descriptor)
        os.close(original)
    file.close()
    # Python looks for garbage once more when it ends, through all that was imported: 0.7 s of a job with PyTorch.
    gc.freeze()


def _one_line(error: Exception) -> str | None:
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _STORAGE_ERRORS:
        return f"{error.filename or 'results'}: {error.strerror}; what was finished before is unharmed"
    return None


@contextmanager
def _stoppable() -> Iterator[None]:
    def stop(number: int, _frame: object) -> None:
        # Clusters repeat themselves; the second signal must not break off what the first one made the job save.
        for one in _SIGNALS:
            signal.signal(one, signal.SIG_IGN)
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@contextmanager
def _heartbeat(log: Path) -> Iterator[None]:
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            with suppress(OSError):
                os.utime(log)

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        done.set()


class Progress:
    """Prints a line an epoch of each training, with the time that is left.

    Args:
        epochs: the budget of the run.
        begin, until: epochs completed before and after this job.
        names: of several trainings, what each is called at the beginning of its lines.
    """

    def __init__(self, epochs: int, begin: int, until: int, names: Sequence[str] = ()):
        self._epochs, self._begin, self._until = epochs, begin, until
        self._starts = [f"{name}: " for name in names] or [""]
        self._started = time.perf_counter()

    def __call__(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Report a row of each history (see `training.train_together`)."""
        done = rows[0]["epoch"]
        seconds_an_epoch = (time.perf_counter() - self._started) / (done - self._begin)
        left = seconds_an_epoch * (self._until - done)
        for start, row in zip(self._starts, rows, strict=True):
            print(
                f"{start}epoch {done:>{len(str(self._epochs))}}/{self._epochs}  lr {row['learning_rate']:g}  "
                f"loss {row['train_loss']:.5g}  train {row['train_accuracy']:.2%}  val {row['val_accuracy']:.2%}  "
                f"{row['images_per_second']:,.0f} images/s  {3600 / seconds_an_epoch:.4g} epochs/h  "
                f"ETA {timedelta(seconds=round(left))}",
                flush=True,
            )
