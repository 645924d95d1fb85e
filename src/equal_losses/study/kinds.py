"""Kinds, read from their source without importing them: losses, heads, optimisers, datasets, figures and more.

A kind is a file of one of these packages with a function of the file's name; the function's keyword-only parameters
are keys of the configuration.
"""

import ast
from functools import cache

from equal_losses.running.sources import ROOT

REQUIRED = object()  # stands for the default of a parameter that has none

# What annotations are in JSON Schema: types, and bounds by their names in `annotated_types`.
_TYPES = {"bool": "boolean", "int": "integer", "float": "number", "str": "string"}
_BOUNDS = {"Ge": "minimum", "Gt": "exclusiveMinimum", "Le": "maximum", "Lt": "exclusiveMaximum"}


def kinds(package: str) -> list[str]:
    """Names of the kinds of a package ("losses", "figures.experiment"), sorted."""
    return sorted(path.stem for path in (ROOT / folder(package)).glob("[!_]*.py") if _function(package, path.stem))


def folder(package: str) -> str:
    """The folder of a package, relative to the repository."""
    return f"src/equal_losses/{package.replace('.', '/')}"


def source(package: str, kind: str) -> str:
    """The file of a kind, relative to the repository."""
    return f"{folder(package)}/{kind}.py"


def parameters(package: str, kind: str) -> dict[str, object]:
    """Keyword-only parameters and their defaults; `REQUIRED` where there is none."""
    arguments = _function(package, kind).args
    return {
        argument.arg: REQUIRED if default is None else ast.literal_eval(default)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    }


def schemas(package: str, kind: str) -> dict[str, dict]:
    """JSON schemas of the keyword-only parameters, from their annotations, such as `Annotated[float, Gt(0)]`."""
    return {argument.arg: _schema(argument.annotation) for argument in _function(package, kind).args.kwonlyargs}


def arguments(package: str, kind: str) -> list[str]:
    """Names of the positional parameters: of a figure, the tables that it is drawn from."""
    return [argument.arg for argument in _function(package, kind).args.args]


def asked(loss: str) -> list[str]:
    """What a kind of loss asks for beside logits and labels."""
    return arguments("losses", loss)[2:]


def caption(package: str, kind: str) -> str:
    """The first paragraph of the function's docstring, on one line."""
    paragraph = (ast.get_docstring(_function(package, kind)) or "").split("\n\n")[0]
    return " ".join(paragraph.split())


def constant(package: str, kind: str, name: str) -> object:
    """The value of a constant of the kind's file, written as a literal; None where it has no such constant."""
    for node in _tree(package, kind).body:
        if isinstance(node, ast.Assign) and [target.id for target in node.targets if isinstance(target, ast.Name)] == [
            name
        ]:
            return ast.literal_eval(node.value)
    return None


def _schema(annotation: ast.expr | None) -> dict:
    """What an annotation allows; everything, where it is no number, text, list of one or choice of these."""
    match annotation:
        case ast.Name(id="Fraction"):
            return {"type": ["string"], "pattern": "^[1-9][0-9]{0,8}/[1-9][0-9]{0,8}$"}
        case ast.Name(id=name) if name in _TYPES:
            return {"type": [_TYPES[name]]}
        case ast.Constant(value=None):
            return {"type": ["null"]}
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            parts = [_schema(left), _schema(right)]
            known = all("type" in part for part in parts)
            return parts[0] | parts[1] | {"type": [name for part in parts for name in part["type"]]} if known else {}
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[inner, *bounds])):
            return _schema(inner) | {_BOUNDS[bound.func.id]: ast.literal_eval(bound.args[0]) for bound in bounds}
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=values)):
            return {"enum": [ast.literal_eval(value) for value in values]}
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[inner, ast.Constant()])):
            return {"type": ["array"], "items": _schema(inner)}
    return {}


def _function(package: str, kind: str) -> ast.FunctionDef | None:
    return next(
        (node for node in _tree(package, kind).body if isinstance(node, ast.FunctionDef) and node.name == kind), None
    )


@cache
def _tree(package: str, kind: str) -> ast.Module:
    path = ROOT / source(package, kind)
    return ast.parse(path.read_text(encoding="utf-8"), str(path))
