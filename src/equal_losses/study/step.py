"""A step of a study: where its result is, what that is made of, and from which files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from equal_losses.running import records


class Files:
    """Files of one step, or one file of each of several steps, as the input of another.

    Attributes:
        paths: the files.
        outputs: the same as rules name them.
        keys: what counts of them.
    """

    def __init__(self, of: Step | list[Step], *names: str):
        self.names = names
        self.steps = of if isinstance(of, list) else [of]
        self.paths = [step.file(name) for step in self.steps for name in names]
        self.outputs = [*dict.fromkeys(step.output(name) for step in self.steps for name in names)]
        self.keys = [step.key for step in of] if isinstance(of, list) else of.key


@dataclass(frozen=True)
class Step:
    """What a job makes.

    Attributes:
        place: path of the result, with `{key}` where its key is to be; without, the result has a name of its own.
        ingredients: settings, code and inputs; their digest is the key.
        inputs: what the job reads, by name.
        subject: the part of the grid that it is about.
    """

    place: str
    ingredients: dict
    inputs: Mapping[str, Files]
    subject: Any = None

    @cached_property
    def key(self) -> str:
        """Names the result."""
        return records.digest(self.ingredients)

    @property
    def is_keyed(self) -> bool:
        """Whether the key is part of the path."""
        return "{key}" in self.place

    @property
    def path(self) -> str:
        """Where the result is: a folder, or a file without its suffix."""
        return self.place.replace("{key}", self.key)

    @property
    def settings(self) -> Any:
        """The settings."""
        return self.ingredients["settings"]

    def file(self, name: str) -> str:
        """A file of the result: its name in the folder, or its suffix."""
        return f"{self.path}{name}" if name.startswith(".") else f"{self.path}/{name}"

    def of_member(self, name: str) -> Step:
        """The part of a stack's result that is about one of its runs, in a folder of its own below."""
        return replace(self, place=f"{self.place}/{name}")

    def output(self, name: str) -> str:
        """The output of a rule that is there once the file is: for a run in a stack, whose files no rule names, the
        stack's record.
        """
        folder, _, run = self.path.partition(f"/{self.key}/")
        return f"{folder}/{self.key}/{records.RECORD}" if run else self.file(name)

    @property
    def sources(self) -> list[Step]:
        """The steps that the inputs come from."""
        return [step for files in self.inputs.values() for step in files.steps]

    def for_job(self, root: Path) -> dict:
        """The rule's parameter `step` (see `shell.job`); `root` is the folder that `results` is in."""
        inputs = {
            name: [(str(root / step.file(file)), step.key) for step in each.steps for file in each.names]
            for name, each in self.inputs.items()
        }
        return {"ingredients": self.ingredients, "inputs": inputs}
