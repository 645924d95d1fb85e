"""The command `clean`: results that no study needs."""

import argparse
import re
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from equal_losses.commands import opening
from equal_losses.study.keys import Steps
from equal_losses.study.paths import KEY, RESULTS

# Results whose folders are named by keys, and results with names of their own, by study or experiment.
KEYED = ("datasets", "trunks", "runs", "stacks", "tuning")
NAMED = ("tables", "figures", "studies")


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "clean",
        help="remove results that no study needs",
        description="List results that none of the given studies needs, with their sizes; remove them with --yes.",
    )
    parser.add_argument(
        "study",
        nargs="+",
        help="a study to keep the results of: a configuration file, or several joined by + and merged in that order",
    )
    opening.add_directory(parser)
    parser.add_argument("--yes", action="store_true", help="remove what is listed")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """List, or remove."""
    studies = [opening.opened([Path(file) for file in study.split("+")], options.directory) for study in options.study]
    total = 0
    for result, paths in superseded(studies, options.directory).items():
        size = sum(_size(path) for path in paths)
        total += size
        print(f"{size / 1e6:12,.3f} MB  {result}")
        for path in paths if options.yes else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = "removed" if options.yes else "that no study needs; --yes removes them"
    print(f"{total / 1e6:12,.3f} MB  {done}" if total else "nothing that no study needs")


def superseded(studies: Sequence[Steps], directory: Path) -> dict[str, list[Path]]:
    """Results that no study needs, and their folders or files."""
    needed = {step.path for steps in studies for step in steps.by_path.values()}
    names = {name for steps in studies for name in (steps.study.name, *steps.study.experiments)}
    found = defaultdict(list)
    for part in KEYED:
        for path in sorted((directory / RESULTS / part).rglob("[!.]*")):
            result = path.relative_to(directory)
            result = str(result.with_name(result.name.partition(".")[0]))
            is_keyed = re.fullmatch(KEY, Path(result).name)
            if is_keyed and result not in needed and all(str(each) in needed for each in _keyed_parents(result)):
                found[result].append(path)
    for part in NAMED:
        for path in sorted((directory / RESULTS / part).glob("*")):
            if path.is_dir() and path.name not in names:
                found[str(path.relative_to(directory))].append(path)
    return found


def _keyed_parents(result: str) -> list[Path]:
    """Results that this one is inside of; it goes with one that is not needed."""
    return [parent for parent in Path(result).parents if re.fullmatch(KEY, parent.name)]


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(file.stat().st_size for file in files)
