"""What a step is made of: the files that it imports, read without importing them.

A step's code is its script, the files of its kinds, and all files of the library that these import, directly or not,
each as a whole (see `sources.source_hash`). The package `running` is neutral and does not count.
"""

import ast
from functools import cache
from pathlib import Path

from equal_losses.running.sources import ROOT, source_hash

LIBRARY = "equal_losses"
NEUTRAL = f"{LIBRARY}.running"


class Codebase:
    """The files of a copy of the repository."""

    def __init__(self, root: Path = ROOT):
        self._root = root
        self.code = cache(self.code)
        self._hash = cache(self._hash)
        self._imported = cache(self._imported)

    def code(self, *roots: str) -> dict[str, str]:
        """Hashes of the files `roots` and of all library files that they import, by path.

        Args:
            roots: paths relative to the repository; what is no Python file imports nothing.
        """
        reached: set[str] = set()
        pending = list(roots)
        while pending:
            path = pending.pop()
            if path not in reached:
                reached.add(path)
                pending += self._imported(path)
        return {path: self._hash(path) for path in sorted(reached)}

    def _hash(self, path: str) -> str:
        return source_hash(self._root / path)

    def _imported(self, path: str) -> list[str]:
        """The library files that a file imports, wherever in it the import is."""
        if not path.endswith(".py"):
            return []
        tree = ast.parse((self._root / path).read_text(encoding="utf-8"), path)
        # The packages that it is in are imported with it.
        names = {path.removeprefix("src/").removesuffix(".py").replace("/", ".")} if path.startswith("src/") else set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                module = _resolved(path, node)
                # A name may be a module of the package or something in it.
                names |= {f"{module}.{alias.name}" for alias in node.names}
                if any(alias.name == "*" for alias in node.names):
                    names |= {f"{module}.{each.stem}" for each in self._folder(module).glob("*.py")}
        return [file for name in sorted(names) for file in self._files(name)]

    def _files(self, module: str) -> list[str]:
        """The files that importing a module of the library executes: its own, and its packages' `__init__`."""
        parts = module.split(".")
        if parts[0] != LIBRARY or module == NEUTRAL or module.startswith(f"{NEUTRAL}."):
            return []
        found = []
        for count in range(1, len(parts) + 1):
            place = "src/" + "/".join(parts[:count])
            found += [file for file in (f"{place}/__init__.py", f"{place}.py") if (self._root / file).is_file()]
        return found

    def _folder(self, module: str) -> Path:
        return self._root / "src" / module.replace(".", "/")


def _resolved(path: str, node: ast.ImportFrom) -> str:
    """The full name of the module that `from ... import` names."""
    if node.level == 0:
        return node.module or ""
    package = list(Path(path).with_suffix("").parts[1:])  # without src
    base = package[: len(package) - node.level]
    return ".".join([*base, *([node.module] if node.module else [])])
