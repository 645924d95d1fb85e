"""The section `theory` of a study as cases: one case is one job of one table.

A case has an id, which names its files, and settings, which hold all that the table's step (see `theory.steps`) needs.
Imports neither PyTorch nor pandas, because it is read at every start of the workflow.

Penalties are given by two dimensionless numbers: `strength`, K c = K sqrt(n lambda_W lambda_H), which is 1 where cross
entropy collapses to the zero solution, and `penalty_ratio`, lambda_W / lambda_H.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from equal_losses.running.errors import InputError

# The tables of cases; `closed_forms` and `statements` come from their settings and their rows.
TABLES = (
    "minima",
    "descent",
    "bias_sweep",
    "critical_points",
    "starts",
    "definition",
    "curves",
    "focal_convexity",
    "geometry",
)


class TheoryCases:
    """All cases of the section `theory`.

    Args:
        config: the validated configuration, of which `theory` and `losses` are read.

    Attributes:
        cases: table -> case id -> settings, which are plain JSON.

    Raises:
        InputError: for an unknown loss, a dimension that is not above the number of classes, a rank above the
            dimension, or a case that is given twice.
    """

    def __init__(self, config: Mapping):
        self._section = config["theory"]
        self._losses = _chosen(self._section["losses"], config["losses"])
        landscape = self._landscape()
        self.cases: dict[str, dict[str, dict]] = {
            "minima": self._minima(),
            "descent": self._descent(),
            "bias_sweep": self._bias_sweep(),
            "critical_points": _without(landscape, "starts", "scales"),
            "starts": _without(landscape, "ranks"),
            "definition": self._contrastive("classes", "samples", "seed"),
            "curves": self._contrastive("classes"),
            "focal_convexity": {"focal": dict(self._section["focal_convexity"])},
            "geometry": {"all": {"losses": self._losses, **self._section["geometry"]}},
        }

    @property
    def closed_form_settings(self) -> dict:
        """What the lines of the closed forms are drawn for (see `theory.tables.closed_forms`)."""
        minimised = (size["classes"] for size in self._section["minimise"]["sizes"])
        return {
            "losses": self._losses,
            "classes": sorted({*minimised, *self._section["contrastive_property"]["classes"]}),
            "bias_sweeps": list(self.cases["bias_sweep"].values()),
            "gammas": self._section["focal_convexity"]["gammas"],
        }

    def _minima(self) -> dict[str, dict]:
        section = self._section["minimise"]
        grid = {key: section[key] for key in ("strengths", "penalty_ratios", "seeds")}
        return _for_each_size("theory.minimise.sizes", section["sizes"], self._losses, grid)

    def _bias_sweep(self) -> dict[str, dict]:
        section = self._section["bias_sweep"]
        rest = {key: value for key, value in section.items() if key != "sizes"}
        losses = [loss for loss in self._losses if loss["kind"] == "mse"]
        return _for_each_size("theory.bias_sweep.sizes", section["sizes"], losses, rest)

    def _descent(self) -> dict[str, dict]:
        section = self._section["descent"]
        _check_size(section, "theory.descent")
        return {loss["name"]: {"loss": loss, **section} for loss in self._losses}

    def _landscape(self) -> dict[str, dict]:
        cases = []
        for index, entry in enumerate(self._section["landscape"]):
            place = f"theory.landscape[{index}]"
            _check_size(entry, place)
            settings = {key: value for key, value in entry.items() if key != "kinds"}
            settings["ranks"] = _ranks(entry, place)
            cases += [
                (f"{loss['name']}-{_size_id(entry)}-Kc{entry['strength']:g}", {"loss": loss, **settings})
                for loss in self._losses
                if entry["kinds"] is None or loss["kind"] in entry["kinds"]
            ]
        return _unique("theory.landscape", cases)

    def _contrastive(self, *keys: str) -> dict[str, dict]:
        section = {key: self._section["contrastive_property"][key] for key in keys}
        return {loss["name"]: {"loss": loss, **section} for loss in self._losses}


def loss_kinds(settings: Mapping) -> set[str]:
    """Kinds of the losses that the settings of a case, or those of the closed forms, name."""
    losses = settings.get("losses", [settings["loss"]] if "loss" in settings else [])
    return {loss["kind"] for loss in losses}


def _chosen(names: list[str] | None, losses: Mapping[str, Mapping]) -> list[dict]:
    """The losses of the theory, each with its name; all of the study where none are named."""
    for name in names or ():
        if name not in losses:
            raise InputError(f"theory.losses: {name!r}; allowed: {', '.join(losses)}")
    return [{"name": name, **losses[name]} for name in names or losses]


def _for_each_size(place: str, sizes: list[Mapping], losses: list[dict], settings: Mapping) -> dict[str, dict]:
    for index, size in enumerate(sizes):
        _check_size(size, f"{place}[{index}]")
    cases = [
        (f"{loss['name']}-{_size_id(size)}", {"loss": loss, **size, **settings}) for size in sizes for loss in losses
    ]
    return _unique(place, cases)


def _without(cases: Mapping[str, Mapping], *keys: str) -> dict[str, dict]:
    return {
        case: {key: value for key, value in settings.items() if key not in keys} for case, settings in cases.items()
    }


def _ranks(entry: Mapping, place: str) -> list[int]:
    classes, ranks = entry["classes"], entry["ranks"]
    if ranks is None:
        return sorted({0, 1, classes // 2, classes - 2, classes - 1})
    for rank in ranks:
        if rank > entry["dim"]:
            raise InputError(f"{place}.ranks: {rank}; allowed: 0 to {entry['dim']}, the feature dimension")
    return ranks


def _size_id(size: Mapping) -> str:
    return f"K{size['classes']}-n{size['samples']}-d{size['dim']}"


def _check_size(size: Mapping, place: str) -> None:
    if size["dim"] <= size["classes"]:
        raise InputError(
            f"{place}.dim: {size['dim']}; allowed: above {size['classes']}, the number of classes, as Theorem 1 assumes"
        )


def _unique(place: str, cases: Iterable[tuple[str, dict]]) -> dict[str, dict]:
    unique: dict[str, dict] = {}
    for name, settings in cases:
        if name in unique:
            raise InputError(f"{place}: two entries give the case {name}; expected each case once")
        unique[name] = settings
    return unique
