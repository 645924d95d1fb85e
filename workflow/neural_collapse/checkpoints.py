"""States of an unfinished training on disk: written whole, checked before they are trusted, gone when it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import InputError
from .training import TrainingState, load_states, save_states

# The one before the newest is kept for the case that the newest cannot be read.
KEPT = 2


class Checkpoints:
    """The checkpoints of one training, or of several that are trained as one.

    Args:
        folder: where they are, a file an epoch.
        key: names settings, data and code; a state of another key is not used.
        minutes: least time between two of them; 0 keeps one an epoch.
    """

    def __init__(self, folder: Path, key: str, minutes: float):
        self._folder, self._key, self._seconds = folder, key, 60 * minutes
        self._written = time.monotonic()

    def newest(self, check: Callable[[int], None]) -> list[TrainingState] | None:
        """The newest states that are whole and of this key, at an epoch for which `check` raises no InputError.

        Other files are renamed, with a warning.
        """
        for path in reversed(self._files()):
            try:
                states = load_states(path, key=self._key)
                check(states[0].epoch)
            except InputError as error:
                aside = path.with_name(f"{path.name}.unusable")
                path.replace(aside)
                print(f"warning: {error}; set aside as {aside.name}", flush=True)
            else:
                return states
        return None

    def offer(self, states: Sequence[TrainingState]) -> None:
        """Write `states` if the last ones were written long enough ago."""
        if time.monotonic() - self._written >= self._seconds:
            self.write(states)

    def write(self, states: Sequence[TrainingState]) -> None:
        """Write `states`, which are of one epoch, unless they are there already, and drop all but the newest `KEPT`."""
        path = self._folder / f"epoch{states[0].epoch:06d}.safetensors"
        if not path.exists():
            save_states(path, states, key=self._key)
        for old in self._files()[:-KEPT]:
            old.unlink()
        self._written = time.monotonic()

    def _files(self) -> list[Path]:
        """Oldest first."""
        return sorted(self._folder.glob("epoch*.safetensors"))
