"""States of an unfinished training on disk: written whole, checked before they are trusted, gone when it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from equal_losses.running import records
from equal_losses.running.errors import InputError

# The one before the newest is kept for the case that the newest cannot be read.
KEPT = 2


class State(Protocol):
    """What a training goes on from; `epoch` is the number of completed epochs."""

    epoch: int

    def save(self, path: Path) -> None:
        """Write the state, atomically."""


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: where they are, a file for each epoch with a record beside it.
        made_of: settings, code and data of the training; a state of others is not used.
        minutes: least time between two of them; 0 keeps one every epoch.
        load: reads a file that a state wrote.
    """

    def __init__(self, folder: Path, made_of: dict, minutes: float, load: Callable[[Path], State]):
        self._folder, self._made_of, self._seconds, self._load = folder, made_of, 60 * minutes, load
        self._written = time.monotonic()

    def newest(self, check: Callable[[int], None]) -> State | None:
        """The newest state that is whole and of this training, at an epoch for which `check` raises no InputError.

        Other files are renamed, with a warning.
        """
        for path in reversed(self._files()):
            try:
                records.check(path, records.digest(self._made_of))
                state = self._load(path)
                check(state.epoch)
            except InputError as error:
                aside = path.with_name(f"{path.name}.unusable")
                path.replace(aside)
                print(f"warning: {error}; set aside as {aside.name}", flush=True)
            else:
                return state
        return None

    def offer(self, state: State) -> None:
        """Write `state` if the last one was written long enough ago."""
        if time.monotonic() - self._written >= self._seconds:
            self.write(state)

    def write(self, state: State) -> None:
        """Write `state` unless it is there already, and drop all but the newest `KEPT`."""
        path = self._folder / f"epoch{state.epoch:06d}.safetensors"
        if not path.exists() or not path.with_suffix(".json").exists():
            state.save(path)
            records.seal([path], self._made_of)
        for old in self._files()[:-KEPT]:
            old.unlink()
            old.with_suffix(".json").unlink(missing_ok=True)
        self._written = time.monotonic()

    def _files(self) -> list[Path]:
        """Oldest first."""
        return sorted(self._folder.glob("epoch*.safetensors"))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a training's folder for this process; where the file system has no locks, do without.

    Raises:
        InputError: where another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock", fallback_to_soft=False)
    with suppress(NotImplementedError):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"{folder}: another process is at this training; wait for it or end it") from None
    try:
        yield
    finally:
        lock.release()
