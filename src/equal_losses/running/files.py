"""Files that are either whole or absent, and readable by whoever the umask allows."""

import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from equal_losses.running.errors import InputError

UNFINISHED = "unfinished"  # folder, inside a result's own, of what an interrupted job goes on from


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed to disk and renamed to `path`.

    The temporary name keeps the suffix of `path`, because writers choose a format by it. On an exception the
    temporary file is removed and `path` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{platform.node()}.{os.getpid()}{path.suffix}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # what the umask allows; some writers make files of their own for one user
        yield temporary
        if temporary.stat().st_nlink == 1:  # a link has the mode of its source
            temporary.chmod(mode)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of `atomic_path` whose processes, on this machine, are gone."""
    for path in folder.rglob(".*.*"):
        match = re.fullmatch(rf"\..+\.{re.escape(platform.node())}\.(\d+)(\.\w+)?", path.name)
        if match and not Path("/proc", match[1]).exists():
            path.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what an interrupted job goes on from, once the results in `folder` are whole."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder / UNFINISHED)


def link_or_copy(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Make `target` the same file as `source`, or a copy where the file system cannot link. Neither is ever changed."""
    with atomic_path(target) as temporary:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def write_json(path: str | os.PathLike, value: object) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike) -> dict:
    """Read a JSON file that holds an object.

    Raises:
        InputError: where the file is missing, unreadable, not JSON or holds something else.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a readable JSON file") from error
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError
        raise InputError(f"{path}: not JSON: {error}; expected the file as it was written") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds {type(value).__name__}; expected a JSON object")
    return value


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
