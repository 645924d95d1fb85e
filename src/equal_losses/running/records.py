"""The record beside every result: its key, what the key is made of, and the checksums of the files.

A result whose folder is named by its key has its record in that folder, `key.json`; any other result has it beside the
file, `{stem}.json`. The record is written last: where it is, the result is whole.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from equal_losses.running.errors import InputError
from equal_losses.running.files import read_json, sha256, write_json

RECORD = "key.json"
INGREDIENTS = ("settings", "code", "inputs")


def digest(value: object) -> str:
    """Twenty hex digits that name a JSON-able value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def record_of(path: str | Path, key: str) -> Path:
    """The record of a file of the result `key`."""
    path = Path(path)
    folder = next((parent for parent in path.parents if parent.name == key), None)
    return path.with_suffix(".json") if folder is None else folder / RECORD


def is_made(record: Path, key: str) -> bool:
    """Whether a record has this key, and all of its files are there."""
    try:
        content = read_json(record)
    except InputError:
        return False
    names = content.get("files") or {}
    return content.get("key") == key and bool(names) and all((record.parent / name).exists() for name in names)


def seal(paths: Iterable[str | Path], ingredients: Mapping) -> None:
    """Write the records of the files of one result, all of which are there.

    Args:
        ingredients: settings, code (hashes by file) and inputs (keys by name); their digest is the key.
    """
    key = digest(ingredients)
    groups = defaultdict(list)
    for path in map(Path, paths):
        groups[record_of(path, key)].append(path)
    for record, files in groups.items():
        checksums = {str(path.relative_to(record.parent)): sha256(path) for path in files if path != record}
        write_json(record, {"key": key, **ingredients, "files": checksums})


def check(path: str | Path, key: str) -> None:
    """Raise InputError, in one line, unless a file is of the result `key` and as it was written."""
    path, record = Path(path), record_of(path, key)
    content = read_json(record)
    again = f"remove it and {record}, and run the workflow again to have it made anew"
    if content.get("key") != key or digest({name: content.get(name) for name in INGREDIENTS}) != key:
        raise InputError(f"{path}: made of other settings, code or inputs; expected key {key}; {again}")
    if path == record:
        return
    expected = (content.get("files") or {}).get(str(path.relative_to(record.parent)))
    if expected is None:
        raise InputError(f"{path}: not in its record {record}; {again}")
    if not path.is_file():
        raise InputError(f"{path}: missing, although its record {record} names it; {again}")
    if sha256(path) != expected:
        raise InputError(f"{path}: changed since it was written, its checksum is not the one in {record}; {again}")
