"""The code that a result is made with: files of this repository, and what of them counts."""

from __future__ import annotations

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
        # Unparsed source and not a dump of the tree, whose form changes between Python versions.
        content = ast.unparse(_without_docstrings(ast.parse(content, str(path)))).encode()
    return hashlib.sha256(content).hexdigest()[:20]


def check_code(code: Mapping[str, str]) -> None:
    """Raise InputError where a file of the code is no longer the one that the workflow was started with.

    Args:
        code: hashes (see `source_hash`) by path, relative to the repository.
    """
    for name, expected in code.items():
        if not (ROOT / name).exists() or source_hash(ROOT / name) != expected:
            raise InputError(f"{name}: changed since the workflow was started; run the same command again")


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree
