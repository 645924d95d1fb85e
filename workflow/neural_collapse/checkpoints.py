"""States of an unfinished training on disk: written whole, checked before they are trusted, gone when it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from .errors import InputError
from .training import TrainingState

# The one before the newest is kept for the case that the newest cannot be read.
KEPT = 2


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: where they are, a file an epoch.
        key: names settings, data and code; a state of another key is not used.
        minutes: least time between two of them; 0 keeps one an epoch.
    """

    def __init__(self, folder: Path, key: str, minutes: float):
        self._folder, self._key, self._seconds = folder, key, 60 * minutes
        self._written = time.monotonic()

    def newest(self, check: Callable[[TrainingState], None]) -> TrainingState | None:
        """The newest state that is whole, of this key and passes `check`, which raises InputError where it does not.

        Files that are not are renamed, with a warning.
        """
        for path in reversed(self._files()):
            try:
                state = TrainingState.load(path, key=self._key)
                check(state)
            except InputError as error:
                aside = path.with_name(f"{path.name}.unusable")
                path.replace(aside)
                print(f"warning: {error}; set aside as {aside.name}", flush=True)
            else:
                return state
        return None

    def offer(self, state: TrainingState) -> None:
        """Write `state` if the last one was written long enough ago."""
        if time.monotonic() - self._written >= self._seconds:
            self.write(state)

    def write(self, state: TrainingState) -> None:
        """Write `state`, unless it is there already, and drop all but the newest `KEPT`."""
        path = self._folder / f"epoch{state.epoch:06d}.safetensors"
        if not path.exists():
            state.save(path, key=self._key)
        for old in self._files()[:-KEPT]:
            old.unlink()
        self._written = time.monotonic()

    def _files(self) -> list[Path]:
        """Oldest first."""
        return sorted(self._folder.glob("epoch*.safetensors"))
