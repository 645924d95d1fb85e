"""The command `export`: the product of a finished study, copied for readers."""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

from equal_losses.commands import opening
from equal_losses.running.errors import InputError
from equal_losses.running.files import read_json, write_json
from equal_losses.running.records import RECORD, check, is_made
from equal_losses.running.words import count
from equal_losses.study.keys import Steps
from equal_losses.study.paths import RESULTS, STUDY

RUNS = "run.json"


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "export",
        help="copy a finished study for readers",
        description="Copy what readers of a finished study want, under the names that it has in results/: page, "
        "claims, tables and figures (PNG); and the records of all runs as one list, run.json.",
    )
    parser.add_argument("config", nargs="*", type=Path, help="configuration files, merged in order (default: the demo)")
    opening.add_directory(parser)
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="files of the same names are replaced")
    parser.add_argument(
        "--readme", type=Path, metavar="FILE", help="a Markdown page whose marked tables are to be renewed"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Copy, once all files are known to be those that the study wants, and make the tables of the page again."""
    steps = opening.opened(options.config, options.directory)
    files, records = list(_files(steps)), list(_records(steps))
    for source, target in files:
        (options.to / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, options.to / target)
    write_json(options.to / RUNS, records)
    print(f"{count(len(files) + 1, 'file')} in {options.to}")
    if options.readme:
        # pandas takes a second to import, which the other commands need not wait for.
        from equal_losses.page import markdown

        markdown.renew(options.readme)


def _files(steps: Steps) -> Iterator[tuple[Path, Path]]:
    """Every file of a result with a name of its own, and where below the folder it is copied to."""
    for step in steps.by_path.values():
        if step.is_keyed:
            continue
        record = steps.root / step.file(".json")
        for name in _record(record, step.key)["files"]:
            path = record.with_name(name)
            if path.suffix != ".pdf":
                check(path, step.key)
                yield path, _target(path.relative_to(steps.root), steps.study.name)


def _records(steps: Steps) -> Iterator[dict]:
    """What every run was."""
    for experiment in steps.study.experiments.values():
        for step in map(steps.run, experiment.runs):
            _record(steps.root / step.output(RECORD), step.key)
            path = steps.root / step.file(RUNS)
            check(path, step.key)
            yield read_json(path)


def _record(path: Path, key: str) -> dict:
    """The record of a result.

    Raises:
        InputError: where the result is not there, or is not the one that the study wants.
    """
    if not is_made(path, key):
        raise InputError(f"{path}: not there with key {key}; expected a finished study: run the workflow on it first")
    return read_json(path)


def _target(path: Path, study: str) -> Path:
    """Below the folder as below `results`, but for what is the study's own, which is at the top."""
    own = Path(STUDY.format(study=study))
    return path.relative_to(own if path.is_relative_to(own) else RESULTS)
