"""The theory part of a study: the section `theory` of the configuration as cases and paths.

A case is one job: a step, an id that names its files, and settings that hold all that its function in `theory_runs`
needs. Imports neither PyTorch nor Snakemake, because it is read at every start of the workflow.

Penalties are given by two dimensionless numbers: `strength`, K c = K sqrt(n lambda_W lambda_H), at which 1 is where
cross entropy collapses to the zero solution, and `penalty_ratio`, lambda_W / lambda_H.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from .errors import InputError
from .provenance import Codebase, digest

DIRECTORY = Path("results") / "theory"

# The tables of each step, in the order in which its function returns them.
STEPS = {
    "minimise": ("minima",),
    "descent": ("descent",),
    "bias_sweep": ("bias_sweep",),
    "landscape": ("critical_points", "starts"),
    "contrastive_property": ("definition", "curves"),
    "focal_convexity": ("focal_convexity",),
    "geometry": ("geometry",),
}

# The tables that each figure of `theory_figures` is drawn from.
FIGURES = {
    "ufm_descent": ("descent",),
    "margin_regularisation": ("minima", "closed_forms"),
    "geometry": ("geometry",),
    "mse_bias": ("bias_sweep", "closed_forms"),
    "contrastive_property": ("curves", "closed_forms"),
    "focal_tie": ("curves", "definition"),
    "focal_convexity": ("focal_convexity", "closed_forms"),
    "random_starts": ("starts",),
}

# The tables of all cases together; `closed_forms` and `claims` come from them (see `theory_tables`).
CASE_TABLES = tuple(table for tables in STEPS.values() for table in tables)
TABLES = (*CASE_TABLES, "closed_forms", "claims")


class TheoryStudy:
    """All cases of the section `theory`.

    Args:
        config: the validated configuration, of which `theory` and `losses` are read.
        codebase: where the fingerprints come from.

    Raises:
        InputError: for an unknown loss, a dimension that is not above the number of classes, or a case given twice.
    """

    def __init__(self, config: Mapping, codebase: Codebase):
        self._section = config["theory"]
        self._losses = config["losses"]
        self._codebase = codebase
        self._names = self._known(self._section["losses"], "theory.losses")
        self.cases = {step: getattr(self, f"_{step}") for step in STEPS}

    def case_pattern(self, step: str) -> str:
        """The case ids of a step as a regular expression; nothing matches it where there are none."""
        return "|".join(re.escape(case) for case in self.cases[step]) or "(?!)"

    def settings(self, step: str, case: str) -> dict:
        """Everything that a case's results depend on, but for the code."""
        return self.cases[step][case]

    def key(self, step: str, case: str) -> str:
        """Key of a case: its settings, and the code of its function and of its losses."""
        settings = self.cases[step][case]
        losses = settings.get("losses", [settings["loss"]] if "loss" in settings else [])
        kinds = {f"losses.{loss['kind']}" for loss in losses}
        return digest([settings, self._codebase.fingerprint("theory_case.py", f"theory_runs.{step}", *sorted(kinds))])

    def outputs(self, table: str) -> list[Path]:
        """The files that make up a table, a case each."""
        (step,) = (step for step, tables in STEPS.items() if table in tables)
        return [DIRECTORY / step / f"{case}.{table}.csv" for case in self.cases[step]]

    @property
    def inputs(self) -> dict[str, list[Path]]:
        """Table -> the files that make it up."""
        return {table: self.outputs(table) for table in CASE_TABLES}

    @cached_property
    def table_key(self) -> str:
        """Key of the tables."""
        keys = [self.key(step, case) for step, cases in self.cases.items() for case in cases]
        return digest([self._codebase.fingerprint("theory_tables.py"), self.closed_form_settings, keys])

    def figure_key(self, figure: str) -> str:
        """Key of a figure."""
        return digest([self._codebase.fingerprint("theory_figure.py", f"theory_figures.{figure}"), self.table_key])

    @property
    def figures(self) -> list[Path]:
        """The PDF of each figure; of none whose tables are empty, as that of MSE is in a study without MSE."""
        drawn = (
            figure
            for figure, tables in FIGURES.items()
            if all(self.outputs(table) for table in tables if table in CASE_TABLES)
        )
        return [DIRECTORY / "figures" / f"{figure}.pdf" for figure in drawn]

    @property
    def closed_form_settings(self) -> dict:
        """What the lines of the closed forms are drawn for (see `theory_tables.closed_forms`)."""
        return {
            "losses": [self._loss(name) for name in self._names],
            "classes": sorted({case["classes"] for case in self.cases["minimise"].values()}),
            "contrastive_classes": self._section["contrastive_property"]["classes"],
            "bias_sweeps": list(self.cases["bias_sweep"].values()),
            "gammas": self._section["focal_convexity"]["gammas"],
        }

    @cached_property
    def _minimise(self) -> dict[str, dict]:
        section = self._section["minimise"]
        grid = {key: section[key] for key in ("strengths", "penalty_ratios", "seeds")}
        return _unique(
            "theory.minimise.sizes",
            [
                (f"{name}-{_size_id(size)}", {"loss": self._loss(name), **size, **grid})
                for size in self._sizes("minimise")
                for name in self._names
            ],
        )

    @cached_property
    def _descent(self) -> dict[str, dict]:
        section = self._section["descent"]
        _check_size(section, "theory.descent")
        return {name: {"loss": self._loss(name), **section} for name in self._names}

    @cached_property
    def _bias_sweep(self) -> dict[str, dict]:
        section = {key: value for key, value in self._section["bias_sweep"].items() if key != "sizes"}
        names = [name for name in self._names if self._losses[name]["kind"] == "mse"]
        return _unique(
            "theory.bias_sweep.sizes",
            [
                (f"{name}-{_size_id(size)}", {"loss": self._loss(name), **size, **section})
                for size in self._sizes("bias_sweep")
                for name in names
            ],
        )

    @cached_property
    def _landscape(self) -> dict[str, dict]:
        cases = []
        for index, entry in enumerate(self._section["landscape"]):
            place = f"theory.landscape[{index}]"
            _check_size(entry, place)
            names = [name for name in self._names if self._losses[name]["kind"] in (entry["kinds"] or self._kinds)]
            classes = entry["classes"]
            ranks = sorted({0, 1, classes // 2, classes - 2, classes - 1}) if entry["ranks"] is None else entry["ranks"]
            settings = {key: value for key, value in entry.items() if key != "kinds"} | {"ranks": ranks}
            cases += [
                (f"{name}-{_size_id(entry)}-Kc{entry['strength']:g}", {"loss": self._loss(name), **settings})
                for name in names
            ]
        return _unique("theory.landscape", cases)

    @cached_property
    def _contrastive_property(self) -> dict[str, dict]:
        return {name: {"loss": self._loss(name), **self._section["contrastive_property"]} for name in self._names}

    @cached_property
    def _focal_convexity(self) -> dict[str, dict]:
        return {"focal": self._section["focal_convexity"]}

    @cached_property
    def _geometry(self) -> dict[str, dict]:
        return {"all": {"losses": [self._loss(name) for name in self._names], **self._section["geometry"]}}

    @property
    def _kinds(self) -> set[str]:
        return {self._losses[name]["kind"] for name in self._names}

    def _loss(self, name: str) -> dict:
        return {"name": name, **self._losses[name]}

    def _known(self, names: list[str] | None, place: str) -> list[str]:
        for name in names or ():
            if name not in self._losses:
                raise InputError(f"{place}: {name!r}; allowed: {', '.join(self._losses)}")
        return list(names or self._losses)

    def _sizes(self, step: str) -> list[dict]:
        sizes = self._section[step]["sizes"]
        for index, size in enumerate(sizes):
            _check_size(size, f"theory.{step}.sizes[{index}]")
        return sizes


def penalties(classes: int, samples: int, strength: float, penalty_ratio: float) -> tuple[float, float]:
    """lambda_W and lambda_H with K sqrt(n lambda_W lambda_H) = strength and lambda_W / lambda_H = penalty_ratio."""
    geometric_mean = strength / classes / math.sqrt(samples)
    return geometric_mean * math.sqrt(penalty_ratio), geometric_mean / math.sqrt(penalty_ratio)


def _size_id(size: Mapping) -> str:
    return f"K{size['classes']}-n{size['samples']}-d{size['dim']}"


def _check_size(size: Mapping, place: str) -> None:
    if size["dim"] <= size["classes"]:
        raise InputError(
            f"{place}.dim: {size['dim']}; allowed: above {size['classes']}, the number of classes, as Theorem 1 assumes"
        )


def _unique(place: str, cases: list[tuple[str, dict]]) -> dict[str, dict]:
    unique: dict[str, dict] = {}
    for name, settings in cases:
        if name in unique:
            raise InputError(f"{place}: {name} stands twice; allowed: each case once")
        unique[name] = settings
    return unique
