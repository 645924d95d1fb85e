"""Configurations: read, merged, completed with defaults and checked.

Every mistake that shows without data and without a GPU is found here or in `checks`, and reported in one line.
"""

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path

import jsonschema
import yaml

from equal_losses.running.errors import InputError
from equal_losses.running.sources import ROOT
from equal_losses.study import checks, kinds

SCHEMA = ROOT / "config" / "schema.yaml"

# Tables of an experiment: of its runs, of their features, and those made from these.
TABLES = ("runs", "trajectories", "alignment", *kinds.kinds("statistics"))

# Keys that datasets of every kind have: how the images are split.
SPLIT_KEYS = ("split_seed", "stratified", "validation_fraction", "test_fraction")
TUNABLE = ("weight_decay", "learning_rate")  # keys of `training`, of which an experiment may tune one

# Values of the largest configuration that is read, each alias counted as what it stands for.
LARGEST = 100_000


def load(paths: Iterable[str | Path]) -> dict:
    """Read configuration files and merge them in order: mappings key by key, anything else replaced.

    Raises:
        InputError: where a file cannot be read, is not a mapping or has a key twice, of which YAML keeps the last.
    """
    merged: dict = {}
    for path in paths:
        merged = _merged(merged, _read(Path(path)))
    return merged


def validated(config: Mapping) -> dict:
    """The configuration with every default filled in.

    Numbers that arrive as text (5e-4 without a dot, or a command line's values) become numbers.

    Raises:
        InputError: a line for each key that is wrong, its value, and what is allowed.
    """
    schema = _schema()
    _check_finite(config, "")
    defaults = config.get("defaults") or {}
    config = {key: value for key, value in config.items() if key != "defaults"}
    experiment = {**schema["$defs"]["experiment"], "required": []}
    _check(_completed(defaults, experiment), experiment, "defaults")
    if isinstance(config.get("experiments"), Mapping):
        config["experiments"] = {
            name: _merged(defaults, value) if isinstance(value, Mapping) else value
            for name, value in config["experiments"].items()
            if value is not None  # how an overlay takes an experiment out
        }
    config = _completed(config, schema)
    _check_finite(config, "")  # again, because text became numbers
    _check(config, schema, "")
    mistakes = _Mistakes()
    for name, loss in config["losses"].items():
        with mistakes.noted():
            config["losses"][name] = _with_kind(loss, f"losses.{name}", "losses")
    for name, dataset in config["datasets"].items():
        with mistakes.noted():
            config["datasets"][name] = _with_kind(dataset, f"datasets.{name}", "datasets", SPLIT_KEYS)
    for name, experiment in config["experiments"].items():
        _check_experiment(experiment, f"experiments.{name}", config, mistakes)
    mistakes.raised()
    mistakes += checks.mistakes(config)
    mistakes.raised()
    return config


class _Mistakes(list):
    """Lines on what is wrong, which are told together."""

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note what is raised, and go on."""
        try:
            yield
        except InputError as error:
            self.extend(error.lines)

    def raised(self) -> None:
        """Raise what was noted."""
        if self:
            raise InputError(*self)


@cache
def _schema() -> dict:
    return yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a mapping that has a key twice."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str | int | float | bool | None):
                raise InputError(f"{self.name}, line {line}: a {type(key).__name__} as a key; expected text")
            if key in seen:
                raise InputError(f"{self.name}, line {line}: key {key!r} is there twice; expected each key once")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict:
    try:
        with open(path, encoding="utf-8") as file:
            value = yaml.load(file, _UniqueKeyLoader)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a readable YAML file") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds {type(value).__name__}; expected a mapping of keys to values")
    _check_finite(value, f"{path}: ")
    return value


def _check_finite(value: object, place: str, inside: tuple[int, ...] = (), left: Iterator | None = None) -> None:
    """Raise InputError for a number that is infinite or none, and for what is inside of itself or far too large.

    A few aliases of aliases in a file of a few lines stand for more values than fit into memory.
    """
    left = left or iter(range(LARGEST))
    if next(left, None) is None:
        raise InputError(f"{place.partition(':')[0] or 'config'}: more than {LARGEST:,} values; expected a study")
    if id(value) in inside:
        raise InputError(f"{place}: inside of itself; expected a mapping or list with an end")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{place}: {value}; expected a finite number")
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        _check_finite(item, _place(place, [key]), (*inside, id(value)), left)


def _merged(base: object, over: object) -> object:
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {**base, **{key: _merged(base.get(key), value) for key, value in over.items()}}
    return over


def _completed(value: object, schema: Mapping) -> object:
    """A deep copy of `value` with text that should be a number turned into one, and defaults filled in."""
    if "$ref" in schema:
        schema = _schema()["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if isinstance(value, str):
        value = _number_from_text(value, types)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)  # 3 and 3.0 are one number, and have one key
    if isinstance(value, list):
        return [_completed(item, schema.get("items", {})) for item in value]
    if isinstance(value, Mapping):
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties")
        others = others if isinstance(others, Mapping) else {}
        defaults = {key: part["default"] for key, part in properties.items() if "default" in part}
        return {key: _completed(item, properties.get(key, others)) for key, item in {**defaults, **value}.items()}
    return value


def _number_from_text(text: str, types: list[str]) -> object:
    for name, convert in (("integer", int), ("number", float)):
        if name in types:
            try:
                return convert(text)
            except ValueError:
                pass
    if "boolean" in types and text.lower() in ("true", "false"):
        return text.lower() == "true"
    return text


def _check(value: object, schema: Mapping, where: str) -> None:
    rooted = {"$defs": _schema()["$defs"], **schema}
    errors = jsonschema.Draft202012Validator(rooted).iter_errors(value)
    errors = sorted(errors, key=lambda error: (len(error.absolute_path), str(error.absolute_path)))
    if errors:
        raise InputError(*dict.fromkeys(line for error in errors for line in _explained(error, where)))


def _explained(error: jsonschema.ValidationError, where: str) -> list[str]:
    place = _place(where, error.absolute_path)
    if error.validator == "additionalProperties":
        allowed = sorted(error.schema["properties"])
        return [
            f"{_place(place, [key])}: unknown key{_closest(key, allowed)}; allowed: {', '.join(allowed)}"
            for key in error.instance
            if key not in allowed
        ]
    if error.validator == "required":
        missing = (key for key in error.validator_value if key not in error.instance)
        return [f"{_place(place, [key])}: missing; it has no default" for key in missing]
    if error.validator == "minProperties":
        return [f"{place}: empty; expected one or more"]
    if "propertyNames" in error.absolute_schema_path:
        return [f"{place}: name {error.instance!r}; expected {_allowed(error.schema)}"]
    return [f"{place}: {_shown(error.instance)}; allowed: {_allowed(error.schema)}"]


def _shown(value: object) -> str:
    """A value as it was given, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # a number of more digits than Python prints
        return "a number of thousands of digits"
    return text if len(text) <= 200 else f"{text[:200]}..."


def _allowed(schema: Mapping) -> str:
    """A schema in words."""
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    types = schema.get("type", "value")
    types = [types] if isinstance(types, str) else list(types)
    words = {"object": "a mapping", "array": "a list", "string": "text", "boolean": "true or false", "null": "null"}
    bounds = [
        f"{sign} {schema[key]}"
        for key, sign in (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))
        if key in schema
    ]
    parts = []
    for name in types:
        if name in ("number", "integer"):
            parts.append(" ".join(["a number" if name == "number" else "a whole number", " and ".join(bounds)]).strip())
        elif name == "array" and "items" in schema:
            different = "different " if schema.get("uniqueItems") else ""
            at_least = "of one or more " if schema.get("minItems") else "of "
            parts.append(f"a list {at_least}{different}items, each {_allowed(schema['items'])}")
        elif name == "string" and "pattern" in schema:
            parts.append(schema.get("description", f"text like {schema['pattern']}"))
        else:
            parts.append(words.get(name, name))
    return " or ".join(parts)


def _place(where: str, path: Iterable[str | int]) -> str:
    place = where
    for part in path:
        dot = "." if place and not place.endswith(" ") else ""
        place += f"[{part}]" if isinstance(part, int) else f"{dot}{part}"
    return place


def _closest(word: str, allowed: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(word), list(allowed), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _with_kind(options: dict, where: str, package: str, common: Iterable[str] = (), given: Iterable[str] = ()) -> dict:
    """Options completed with the defaults of the function that their kind names.

    `common` keys belong to every kind; `given` parameters of the function come from elsewhere (the grid, the data).
    """
    _one_of(options["kind"], kinds.kinds(package), f"{where}.kind")
    schemas = kinds.schemas(package, options["kind"])
    parameters = {
        key: schemas.get(key, {})
        | ({} if default is kinds.REQUIRED else {"default": list(default) if isinstance(default, tuple) else default})
        for key, default in kinds.parameters(package, options["kind"]).items()
        if key not in given
    }
    schema = {
        "properties": {key: {} for key in ("kind", *common)} | parameters,
        "required": [key for key, part in parameters.items() if "default" not in part],
        "additionalProperties": False,
    }
    return checked(options, schema, where)


def checked(value: object, schema: Mapping, where: str) -> object:
    """A value that a schema allows, with numbers that arrived as text as numbers, and defaults filled in.

    Raises:
        InputError: what it is, and what is allowed.
    """
    value = _completed(value, schema)
    _check_finite(value, where)
    _check(value, schema, where)
    return value


def tuned_keys(training: Mapping) -> list[str]:
    """The keys that have candidates in place of a number."""
    return [key for key in TUNABLE if isinstance(training[key], Mapping)]


def _check_experiment(experiment: dict, where: str, config: Mapping, mistakes: _Mistakes) -> None:
    with mistakes.noted():
        _one_of(experiment["dataset"], config["datasets"], f"{where}.dataset")
    for index, loss in enumerate(experiment["losses"]):
        with mistakes.noted():
            _one_of(loss, config["losses"], f"{where}.losses[{index}]")
    training, place = experiment["training"], f"{where}.training"
    with mistakes.noted():
        training["optimizer"] = _with_kind(training["optimizer"], f"{place}.optimizer", "optimizers")
    with mistakes.noted():
        training["schedule"] = _with_kind(training["schedule"], f"{place}.schedule", "schedules")
        for index, share in enumerate(training["schedule"]["at"] if training["schedule"]["kind"] == "steps" else []):
            if Fraction(str(share)) >= 1:
                mistakes.append(f"{place}.schedule.at[{index}]: {share!r}; allowed: a share between 0 and 1")
    for index, figure in enumerate(experiment["figures"]):
        with mistakes.noted():
            _one_of(figure, kinds.kinds("figures.experiment"), f"{where}.figures[{index}]")
            for table in kinds.arguments("figures.experiment", figure):
                _one_of(table, TABLES, f"{where}.figures[{index}]: {figure}, parameter of the function")
    tuned = tuned_keys(training)
    if len(tuned) > 1:
        mistakes.append(f"{place}.{tuned[1]}: candidates; allowed beside candidates for {tuned[0]}: a number")
    if experiment["stack"] > 1 and tuned:
        mistakes.append(
            f"{where}.stack: {experiment['stack']}; allowed with candidates for training.{tuned[0]}: 1, because what "
            f"is trained as one has one {tuned[0].replace('_', ' ')}"
        )
    with mistakes.noted():
        given = ("width", "channels")
        experiment["network"] = _with_kind(experiment["network"], f"{where}.network", "networks", given=given)
    with mistakes.noted():
        given = ("dimension", "classes")
        experiment["head"] = _with_kind(experiment["head"], f"{where}.head", "heads", given=given)


def _one_of(value: str, allowed: Iterable[str], place: str) -> None:
    if value not in allowed:
        names = ", ".join(sorted(allowed))
        raise InputError(f"{place}: {value!r}{_closest(value, allowed)}; allowed: {names}")
