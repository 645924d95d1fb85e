"""Kinds, read from their files without importing them."""

from __future__ import annotations

import importlib
import inspect

import pytest

from equal_losses.study import kinds

from .studies import PACKAGES


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """Writes a file of the package `toys` in a repository of its own."""
    monkeypatch.setattr(kinds, "ROOT", tmp_path)
    folder = tmp_path / "src" / "equal_losses" / "toys"
    folder.mkdir(parents=True)
    kinds._tree.cache_clear()
    yield lambda name, text: (folder / f"{name}.py").write_text(text)
    kinds._tree.cache_clear()


def test_a_kind_is_a_file_whose_function_has_its_name(toys):
    toys("ball", "def ball(): ...\n")
    toys("brick", "def ball(): ...\nclass brick: ...\n")
    toys("_shared", "def _shared(): ...\n")
    toys("__init__", "def __init__(): ...\n")
    toys("abacus", "RAISED = 1 / 0\ndef abacus(): ...\n")
    assert kinds.kinds("toys") == ["abacus", "ball"]


def test_keyword_only_parameters_are_its_keys(toys):
    toys("ball", "def ball(table, *, radius, colour='red', sizes=(1, 2), weight: float | None = None): ...\n")
    assert kinds.parameters("toys", "ball") == {
        "radius": kinds.REQUIRED,
        "colour": "red",
        "sizes": (1, 2),
        "weight": None,
    }


def test_annotations_say_what_is_allowed(toys):
    toys(
        "ball",
        """def ball(
            *, radius: float, layers: int = 1, colour: Literal["red", "blue"] = "red", name: str | None = None,
            weight: Annotated[float, Gt(0), Le(9)] = 1, sizes: tuple[Annotated[int, Ge(-1)], ...] | None = None,
            anything=1, table: Table = None, either: Table | None = None
        ): ...\n""",
    )
    assert kinds.schemas("toys", "ball") == {
        "radius": {"type": ["number"]},
        "layers": {"type": ["integer"]},
        "colour": {"enum": ["red", "blue"]},
        "name": {"type": ["string", "null"]},
        "weight": {"type": ["number"], "exclusiveMinimum": 0, "maximum": 9},
        "sizes": {"type": ["array", "null"], "items": {"type": ["integer"], "minimum": -1}},
        "anything": {},
        "table": {},
        "either": {},
    }


def test_positional_parameters_are_its_tables(toys):
    toys("ball", "def ball(runs, alignment, *, radius=1): ...\n")
    assert kinds.arguments("toys", "ball") == ["runs", "alignment"]


@pytest.mark.parametrize(
    ("docstring", "caption"),
    [
        ('"""A ball\n    that is round.\n\n    And more.\n    """', "A ball that is round."),
        ('"""A ball."""', "A ball."),
        ("pass", ""),
    ],
)
def test_the_caption_is_the_first_paragraph_of_the_docstring(toys, docstring, caption):
    toys("ball", f"def ball():\n    {docstring}\n")
    assert kinds.caption("toys", "ball") == caption


def test_a_constant_is_read_where_there_is_one(toys):
    toys("ball", "SIZE = (1, 2)\nOTHER = SIZE_TOO = 3\n\ndef ball():\n    COLOUR = 'red'\n")
    assert kinds.constant("toys", "ball", "SIZE") == (1, 2)
    assert kinds.constant("toys", "ball", "COLOUR") is None


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_read_of_a_shipped_kind_is_what_its_package_loads(package):
    module = importlib.import_module(f"equal_losses.{package}")
    assert kinds.kinds(package)
    for kind in kinds.kinds(package):
        found = inspect.signature(module.load(kind)).parameters.values()
        keywords = {each.name: each.default for each in found if each.kind is each.KEYWORD_ONLY}
        keywords = {
            name: kinds.REQUIRED if value is inspect.Parameter.empty else value for name, value in keywords.items()
        }
        assert kinds.parameters(package, kind) == keywords
        assert kinds.arguments(package, kind) == [each.name for each in found if each.kind is not each.KEYWORD_ONLY]
