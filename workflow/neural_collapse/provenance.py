"""What a step is made of: fingerprints of the code that it really uses, read without importing it.

The library's modules and the scripts are parsed, not imported. Starting from a script or a function, the names that
each definition uses are followed through the library, and the definitions reached are hashed as code: comments,
docstrings and layout do not count, and neither does a definition that nothing reached. A function that the
configuration picks by name (a loss, a network, a dataset) is reached only by the steps that were configured with it.
"""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cached_property
from pathlib import Path

LIBRARY = Path(__file__).parent
PACKAGE = LIBRARY.name
# How a job logs, fails and writes, and on which card it runs, does not change what it computes.
NEUTRAL = {"jobs", "files", "errors", "devices"}


def digest(value: object) -> str:
    """Twenty hex digits that name a JSON-able value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


class Codebase:
    """The library and the scripts as syntax trees."""

    REQUIRED = object()

    def __init__(self, library: Path = LIBRARY, scripts: Path = LIBRARY.parent / "scripts"):
        self._library = library
        self._scripts = scripts
        self._modules: dict[str, _Module] = {}
        self._fingerprints: dict[tuple[str, ...], str] = {}

    def functions(self, module: str) -> dict[str, dict[str, object]]:
        """The public functions of a library module and their keyword-only parameters.

        A parameter without a default maps to `Codebase.REQUIRED`.
        """
        found = {}
        for name, node in self._module(module).definitions.items():
            if isinstance(node, ast.FunctionDef) and not name.startswith("_"):
                found[name] = {
                    argument.arg: self.REQUIRED if default is None else ast.literal_eval(default)
                    for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                }
        return found

    def arguments(self, module: str, name: str) -> list[str]:
        """Names of a function's positional parameters."""
        return [argument.arg for argument in self._module(module).definitions[name].args.args]

    def summary(self, module: str, name: str) -> str:
        """The first paragraph of a function's docstring, on one line."""
        paragraph = self._module(module).docstrings.get(name, "").split("\n\n")[0]
        return " ".join(paragraph.split())

    def literal(self, module: str, name: str) -> object:
        """The value of a constant of a library module, written as a literal."""
        return ast.literal_eval(self._module(module).definitions[name].value)

    def fingerprint(self, *roots: str) -> str:
        """Hash of the code reached from `roots`: scripts ("train.py") and functions ("losses.focal")."""
        if roots not in self._fingerprints:
            reached: dict[str, str] = {}
            pending = []
            for root in roots:
                if root.endswith(".py"):
                    script = self._module(root)
                    reached[root] = script.source(script.tree)
                    pending += script.uses(script.tree)
                else:
                    module, name = root.split(".")
                    pending.append((module, name))
            while pending:
                module, name = pending.pop()
                label = f"{module}.{name}"
                if label in reached or module in NEUTRAL or module not in self._names:
                    continue
                tree = self._module(module)
                node = tree.definitions.get(name)
                if node is None:
                    continue
                reached[label] = tree.source(node)
                pending += [(used or module, what) for used, what in tree.uses(node)]
            self._fingerprints[roots] = digest(reached)
        return self._fingerprints[roots]

    @cached_property
    def _names(self) -> set[str]:
        return {path.stem for path in self._library.glob("*.py")}

    def _module(self, name: str) -> _Module:
        """A module of the library ("figures") or a script ("figure.py")."""
        if name not in self._modules:
            path = self._scripts / name if name.endswith(".py") else self._library / f"{name}.py"
            self._modules[name] = _Module(path)
        return self._modules[name]


class _Module:
    """A file as a syntax tree. What many fingerprints ask of the same definition is found out once."""

    def __init__(self, path: Path):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        self.docstrings = {
            node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.FunctionDef)
        }
        self.tree = _without_docstrings(tree)
        self._sources: dict[ast.AST, str] = {}
        self._uses: dict[ast.AST, list[tuple[str | None, str]]] = {}

    def source(self, node: ast.AST) -> str:
        """A definition without comments and layout."""
        if node not in self._sources:
            # Unparsed source and not a dump of the tree, whose form changes between Python versions.
            self._sources[node] = ast.unparse(node)
        return self._sources[node]

    @cached_property
    def definitions(self) -> dict[str, ast.stmt]:
        """Functions, classes and assigned names of the top level."""
        found = {}
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[node.name] = node
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {
                    name.id: node for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
                }
        return found

    @cached_property
    def imports(self) -> dict[str, tuple[str, str | None]]:
        """Local names that come from the library: name -> (module, name in it, or None for the module itself)."""
        found = {}
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.ImportFrom):
                continue
            inside = node.level == 1 or (node.level == 0 and (node.module or "").split(".")[0] == PACKAGE)
            if not inside:
                continue
            module = (node.module or "").removeprefix(PACKAGE).removeprefix(".")
            for alias in node.names:
                found[alias.asname or alias.name] = (module, alias.name) if module else (alias.name, None)
        return found

    def uses(self, node: ast.AST) -> list[tuple[str | None, str]]:
        """What a definition names: (module of the library, or None for this one, and name)."""
        if node not in self._uses:
            self._uses[node] = self._found_in(node)
        return self._uses[node]

    def _found_in(self, node: ast.AST) -> list[tuple[str | None, str]]:
        found = []
        for child in ast.walk(node):
            if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name):
                module, name = self.imports.get(child.value.id, (None, ""))
                if module and name is None:
                    found.append((module, child.attr))
            if isinstance(child, ast.Name):
                module, name = self.imports.get(child.id, (None, child.id))
                if name is not None:
                    found.append((module, name))
        return found


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
