"""The shell around a job: its log, the checks of what it reads, and how it ends."""

import errno
import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from equal_losses.running import files, progress, records, sources
from equal_losses.running.errors import InputError

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


@dataclass
class Task:
    """What a job is to do.

    Attributes:
        ingredients: settings, code and inputs of the result, as its record has them.
        inputs: the files that the job reads, by name.
        outputs: the files that the job writes.
    """

    ingredients: dict
    inputs: dict[str, list[str]]
    outputs: list[Path]
    sealed: bool = False

    @property
    def settings(self) -> Any:
        """The settings, all that the results depend on beside code and inputs."""
        return self.ingredients["settings"]

    @property
    def key(self) -> str:
        """The key of the result."""
        return records.digest(self.ingredients)

    @property
    def folder(self) -> Path:
        """The folder that the key names."""
        return self.record.parent

    @property
    def record(self) -> Path:
        """The record of the result in this folder."""
        return records.record_of(self.outputs[0], self.key)

    def seal(self, *more: Path) -> None:
        """Write the records of the outputs, and of files that belong to them; by itself at the end of the job."""
        if not self.sealed:
            sources.check_code(self.ingredients["code"])
            records.seal(dict.fromkeys([*self.outputs, *more]), self.ingredients)
            self.sealed = True
            # The job is done but for tidying up; one that is told to stop now would have its results thrown away.
            _ignore_signals()


@contextmanager
def job(snakemake: Any) -> Iterator[Task]:
    """Send all output, of libraries too, to the log, check code and inputs, and write the records of the outputs.

    On an error one line goes to the terminal and the process ends. Exit status: 2 where the user can mend it (bad
    input, a full or read-only disk), 1 for anything else, whose traceback is in the log. SIGINT, SIGTERM and SIGUSR1
    raise `Stopped` in the job, once, and the process then ends by the signal.

    Args:
        snakemake: what a script is given: `log`, `output` and the parameter `step`, with the `ingredients` of the
            result and, by name, the `inputs`, each with the key that it is expected to have.
    """
    gc.set_threshold(GARBAGE_THRESHOLD)
    with _logged(Path(snakemake.log[0])):
        step = snakemake.params.step
        markers = snakemake.output.get("made", ())
        inputs = {name: [path for path, _ in checked] for name, checked in step["inputs"].items()}
        task = Task(step["ingredients"], inputs, [Path(path) for path in snakemake.output if path not in markers])
        sources.check_code(task.ingredients["code"])
        for folder in {path.parent for path in task.outputs}:
            files.remove_leftovers(folder)
        read = dict.fromkeys((Path(path), key) for path, key in chain(*step["inputs"].values()))
        for path, key in read:
            records.check(path, key)
        # What jobs left that were killed when their results were whole.
        for folder in {path.parent for path, _ in read}:
            files.remove_leftovers(folder)
            files.remove_unfinished(folder)
        # The record of an earlier result with a name of its own would vouch for a file that it was not written for.
        for path in task.outputs:
            records.record_of(path, task.key).unlink(missing_ok=True)
        yield task
        task.seal()
    _ignore_signals()
    # Python looks for garbage once more when it ends, through all that was imported: 0.7 s of a job with PyTorch.
    gc.freeze()


@contextmanager
def _logged(log: Path) -> Iterator[None]:
    """Everything of a job but what it does."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = open(log, "w", buffering=1, encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        print(_one_line(error) or error, file=sys.stderr)
        sys.exit(2)
    terminal = os.dup(2)
    sys.stdout.flush()
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)

    def end(mark: str, line: str) -> None:
        with suppress(OSError):
            file.write(f"{mark}{line}\n")
        os.write(terminal, f"{line} (log: {log})\n".encode())

    threading.Thread(target=_beat, args=[log], daemon=True).start()
    for number in _SIGNALS:
        signal.signal(number, _stop)
    try:
        file.write(progress.process(file.fileno()))
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


def _one_line(error: Exception) -> str | None:
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _STORAGE_ERRORS:
        return f"{error.filename or 'results'}: {error.strerror}; what was finished before is unharmed"
    return None


def _ignore_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, _frame: object) -> None:
    # Clusters repeat themselves; the second signal must not break off what the first one made the job save.
    _ignore_signals()
    raise Stopped(number)


def _beat(log: Path) -> None:
    while True:
        time.sleep(HEARTBEAT_SECONDS)
        with suppress(OSError):
            os.utime(log)
