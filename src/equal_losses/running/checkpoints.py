"""States of an unfinished training on disk: written whole, checked before they are trusted, gone when it is done."""

import errno
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor

from equal_losses.running import records, weights
from equal_losses.running.errors import InputError

# The one before the newest is kept for the case that the newest cannot be read.
KEPT = 2


class Checkpoints:
    """The checkpoints and snapshots of one training, each a file with a record beside it.

    Args:
        folder: where they are.
        made_of: settings, code and data of the training; a state of others is not used.
        minutes: least time between two of them; 0 keeps one every epoch.
    """

    def __init__(self, folder: Path, made_of: dict, minutes: float):
        self._folder, self._made_of, self._seconds = folder, made_of, 60 * minutes
        self._written = time.monotonic()

    def newest(self, read: Callable[[Path], Any]) -> Any:
        """What `read` makes of the newest state that is whole, of this training and raises no InputError; or None.

        Other files are renamed, with a warning.
        """
        for path in reversed(self._files()):
            try:
                records.check(path, records.digest(self._made_of))
                return read(path)
            except InputError as error:
                aside = path.with_name(f"{path.name}.unusable")
                path.replace(aside)
                print(f"warning: {error}; set aside as {aside.name}", flush=True)
        return None

    def keep_snapshot(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        """Write the weights of an epoch, which stay."""
        weights.save(self.snapshot(epoch), tensors, {})
        records.seal([self.snapshot(epoch)], self._made_of)

    def check_snapshot(self, epoch: int) -> None:
        """Raise InputError unless the snapshot of an epoch is there, whole and of this training."""
        records.check(self.snapshot(epoch), records.digest(self._made_of))

    def remove_snapshots(self) -> None:
        """Remove what a training took that is begun anew."""
        shutil.rmtree(self._folder / "snapshots", ignore_errors=True)

    def snapshot(self, epoch: int) -> Path:
        """The file of the snapshot of an epoch."""
        return self._folder / "snapshots" / f"epoch{epoch:06d}.safetensors"

    def offer(self, epoch: int, save: Callable[[Path], None]) -> None:
        """Write the state of an epoch if the last one was written long enough ago."""
        if time.monotonic() - self._written >= self._seconds:
            self.write(epoch, save)

    def write(self, epoch: int, save: Callable[[Path], None]) -> None:
        """Write the state of an epoch unless it is there already, and drop all but the newest `KEPT`."""
        path = self._folder / f"epoch{epoch:06d}.safetensors"
        if not path.exists() or not path.with_suffix(".json").exists():
            save(path)
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
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"{folder}: another process is at this training; wait for it or end it") from None
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK):
            raise
    try:
        yield
    finally:
        lock.release()
