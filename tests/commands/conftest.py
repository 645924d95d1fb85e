"""A folder with a study and some results, and the command run on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from equal_losses.commands import opening
from equal_losses.commands.main import main
from equal_losses.running import records
from equal_losses.study.keys import Steps
from equal_losses.study.step import Step

from ..study.studies import CODE, run_of


@dataclass
class Folder:
    """A folder that has results of a study.

    Attributes:
        config: the study; `file` is written anew before it is read.
    """

    root: Path
    config: dict
    captured: Callable

    @property
    def file(self) -> str:
        """The study's file."""
        path = self.root / "study.yaml"
        path.write_text(yaml.safe_dump(self.config, sort_keys=False))
        return str(path)

    @property
    def steps(self) -> Steps:
        """The steps of the study as it now is."""
        return opening.opened([Path(self.file)], self.root)

    def of_run(self, part: str = "run", **point) -> Step:
        """A step of a run of the study as it now is: the run itself, its `features` or its `metrics`."""
        steps = self.steps
        return getattr(steps, part)(run_of(steps, **point))

    def make(self, step: Step, *names: str, ingredients: dict | None = None) -> Path:
        """Write files of a result, 1000 bytes each, and their record; returns where the first of them is."""
        ingredients = ingredients or step.ingredients
        place = step.place.replace("{key}", records.digest(ingredients))
        files = [self.root / (place + name if name.startswith(".") else f"{place}/{name}") for name in names]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(bytes(1000))
        records.seal(files, ingredients)
        return files[0]

    def command(self, *arguments: str) -> list[str]:
        """Lines that a command prints which ends well."""
        assert main([*arguments]) == 0
        return self.captured().out.splitlines()

    def refused(self, *arguments: str) -> str:
        """The one line that a command ends with, with exit status 2."""
        assert main([*arguments]) == 2
        output = self.captured()
        assert output.out == ""
        (line,) = output.err.splitlines()
        return line.removeprefix("equal-losses: ")


@pytest.fixture
def folder(tmp_path, small_config, monkeypatch, capsys) -> Folder:
    """An empty folder with the small study; the code is read once for all tests."""
    monkeypatch.setattr(opening, "Codebase", lambda: CODE)
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path, small_config, capsys.readouterr)


@pytest.fixture
def tuned(folder) -> Folder:
    """The same, with one loss, width and budget, two candidates of the weight decay and two seeds."""
    folder.config["experiments"]["small"] |= {"losses": ["CE"], "widths": [0.25], "epochs": [7], "seeds": [1, 2]}
    folder.config["experiments"]["small"]["training"]["weight_decay"] = {"candidates": [0.001, 0.01], "seeds": [1]}
    return folder


@pytest.fixture
def stacked(folder) -> Folder:
    """The same, with two losses that are trained as one."""
    folder.config["experiments"]["small"] |= {"widths": [0.25], "epochs": [7], "stack": 2}
    return folder
