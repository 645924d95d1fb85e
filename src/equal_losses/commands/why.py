"""The command `why`: what differs between the result that is wanted and those that are there."""

import argparse
import difflib
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from equal_losses.commands import opening
from equal_losses.running.errors import InputError
from equal_losses.running.files import read_json
from equal_losses.running.records import RECORD, is_made
from equal_losses.study.keys import Steps
from equal_losses.study.step import Step


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "why",
        help="why a result is to be made again",
        description="Say what differs between the result that a study wants and those that are there: which setting, "
        "which file of the code, which input.",
    )
    parser.add_argument(
        "target", help="a file or folder of the results, with or without its key: results/runs/demo/FL/width1/..."
    )
    parser.add_argument("config", nargs="*", type=Path, help="configuration files, merged in order (default: the demo)")
    opening.add_directory(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the differences."""
    steps = opening.opened(options.config, options.directory)
    step = _found(steps, options.target)
    print(f"{step.path}\n  wanted: {step.key}")
    there = list(_records(steps, step))
    if not there:
        print("  there: none; it was never made")
    for path, record in there:
        print(f"  there: {record['error']}" if "error" in record else f"  there: {record.get('key')} ({path})")
        if is_made(path, step.key):
            print("    the same: nothing is to be done")
        elif record.get("key") == step.key:
            print("    the same, but a file of it is gone")
        for line in () if "error" in record else _differences(record, step.ingredients):
            print(f"    {line}")


def _found(steps: Steps, target: str) -> Step:
    """The step that a path names: its result, a file in it, or its folder without the key.

    Raises:
        InputError: where the study has no such result, or the folder is that of several.
    """
    places = defaultdict(list)
    for step in steps.by_path.values():
        for place in {step.path, step.place.removesuffix("/{key}")}:
            places[place].append(step)
    path = Path(target)
    for each in (path, path.with_name(path.name.partition(".")[0] or "-") if path.name else path, *path.parents):
        if len(places.get(str(each), ())) == 1:
            return places[str(each)][0]
    close = difflib.get_close_matches(str(path), places, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise InputError(f"{target}: no result of this study{hint}; expected a path below results/")


def _records(steps: Steps, step: Step) -> Iterator[tuple[Path, dict]]:
    """The records of what is there at the place of a step, whatever their keys."""
    if step.is_keyed:
        folder = steps.root / Path(step.place).parent
        paths = [*folder.glob(f"*/{RECORD}"), *folder.glob(f"{'[0-9a-f]' * 20}.json")]
    else:
        paths = [path for path in [steps.root / step.file(".json")] if path.exists()]
    for path in sorted(paths):
        try:
            yield path, read_json(path)
        except InputError as error:
            yield path, {"error": error}


def _differences(there: dict, wanted: dict) -> Iterator[str]:
    before, after = (dict(_flat(content.get("settings"))) for content in (there, wanted))
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield f"setting {name}: {_said(before, name)} there, {_said(after, name)} wanted"
    before, after = there.get("code", {}), wanted["code"]
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            change = "changed" if name in before and name in after else "no longer used" if name in before else "new"
            yield f"code {name}: {change}"
    before, after = (dict(_flat(content.get("inputs"))) for content in (there, wanted))
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield f"input {name}: {before.get(name, 'none')} there, {after.get(name, 'none')} wanted"


def _flat(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Every value of nested mappings and lists by its place, as `run.loss.gamma`."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict | list | str) for item in value):
        for index, item in enumerate(value):
            yield from _flat(item, f"{place}[{index}]")
    else:
        yield place, value


def _said(values: dict, name: str) -> str:
    return json.dumps(values[name]) if name in values else "none"
