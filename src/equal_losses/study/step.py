"""A step of a study: where its result is, what that is made of, and from which files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from equal_losses.running import records


@dataclass(frozen=True)
class Files:
    """Files of one step, as the input of another."""

    step: Step
    names: tuple[str, ...]

    @property
    def paths(self) -> list[str]:
        """Their paths."""
        return [self.step.file(name) for name in self.names]


# One step's files, or those of several steps, one file of each.
Input = Files | list[Files]


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
    inputs: Mapping[str, Input]
    subject: Any = None

    @cached_property
    def key(self) -> str:
        """Names the result."""
        return records.digest(self.ingredients)

    @property
    def is_keyed(self) -> bool:
        """Whether the key is part of the path."""
        return self.place.endswith("{key}")

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

    def files(self, *names: str) -> Files:
        """Some of its files, as an input of another step."""
        return Files(self, names)

    @property
    def input_paths(self) -> dict[str, list[str]]:
        """Paths of the input files, by the input's name."""
        return {
            name: files.paths if isinstance(files, Files) else [path for each in files for path in each.paths]
            for name, files in self.inputs.items()
        }

    @property
    def sources(self) -> list[Step]:
        """The steps that the inputs come from."""
        listed = ([files] if isinstance(files, Files) else files for files in self.inputs.values())
        return [files.step for each in listed for files in each]

    @property
    def for_job(self) -> dict:
        """The rule's parameter `step` (see `shell.job`)."""
        return {
            "ingredients": self.ingredients,
            "expected": {name: keys_of(each) for name, each in self.inputs.items()},
        }


def keys_of(files: Input) -> str | list[str]:
    """The key of the step, or of each of the steps, that an input comes from."""
    return files.step.key if isinstance(files, Files) else [each.step.key for each in files]
