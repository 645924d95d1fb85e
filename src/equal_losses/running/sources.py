"""The code that a result is made with: files of this repository, and what of them counts."""

import ast
import hashlib
from collections.abc import Mapping
from pathlib import Path

import equal_losses
from equal_losses.running.errors import InputError

ROOT = Path(equal_losses.__file__).parents[2]


def source_hash(path: Path) -> str:
    """Twenty hex digits of a file's content; of a Python file without comments, docstrings and layout."""
    content = path.read_bytes()
    if path.suffix == ".py":
        content = repr(_plain(_without_docstrings(ast.parse(content, str(path))))).encode()
    return hashlib.sha256(content).hexdigest()[:20]


def check_code(code: Mapping[str, str]) -> None:
    """Raise InputError where a file of the code is no longer the one that the workflow was started with.

    Args:
        code: hashes (see `source_hash`) by path, relative to the repository.
    """
    for name, expected in code.items():
        try:
            found = source_hash(ROOT / name)
        except (OSError, SyntaxError):
            found = None
        if found != expected:
            raise InputError(f"{name}: changed since the workflow was started; run the same command again")


def _plain(node: object) -> object:
    """A syntax tree as tuples, without what is empty: new versions of Python add fields that old code does not use."""
    if isinstance(node, ast.AST):
        fields = [(name, _plain(value)) for name, value in ast.iter_fields(node)]
        return type(node).__name__, [(name, value) for name, value in fields if value not in (None, [])]
    return [_plain(item) for item in node] if isinstance(node, list) else node


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree
