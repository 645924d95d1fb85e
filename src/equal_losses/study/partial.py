"""A study of which runs failed or are missing: what can be compared of it, under names of its own.

Tests pair the losses by seed, and figures show whole grids. So of each experiment the largest losses, widths, budgets
and seeds are taken at which every run is there, and nothing is decided that would need more.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

from equal_losses.running.errors import InputError
from equal_losses.running.words import count, run_at
from equal_losses.study.grid import Experiment, Run, Study

SUFFIX = ".partial"  # of what tables, figures and page are under; no name of the configuration has a dot

# A message names so many runs.
_NAMED = 8


class PartialStudy(Study):
    """What is there of a study.

    Args:
        config: as of `Study`.
        is_there: whether a run of the grid is finished and measured.

    Raises:
        InputError: where no run is there.
    """

    def __init__(self, config: Mapping, is_there: Callable[[Run], bool]):
        super().__init__(config)
        self.label += SUFFIX
        found = {}
        for name, experiment in self.experiments.items():
            there = frozenset(run.point for run in experiment.runs if is_there(run))
            if there:
                found[name] = PartialExperiment(self, name, there)
        if not found:
            raise InputError(f"{self.name}: no run is finished; expected one or more: run the workflow on it first")
        self.experiments = found


@dataclass(frozen=True)
class PartialExperiment(Experiment):
    """What is there of an experiment.

    Attributes:
        there: (loss, width, epochs, seed) of the runs that are there.
    """

    there: frozenset

    @property
    def label(self) -> str:
        """What its tables and figures are under."""
        return f"{self.name}{SUFFIX}"

    @cached_property
    def runs(self) -> list[Run]:
        """The runs of the largest whole grid."""
        axes = whole_grid([self.config[axis] for axis in ("losses", "widths", "epochs", "seeds")], self.there)
        return [Run(self, *point) for point in product(*axes)]

    @property
    def missing(self) -> str:
        """Which runs are missing, and which are left out because of them."""
        grid, used = [run.point for run in self.grid], {run.point for run in self.runs}
        missing = [point for point in grid if point not in self.there]
        words = "; ".join(run_at(*point) for point in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        out = len(self.there) - len(used)
        others = f"; {count(out, 'other run')} left out, to compare like with like" if out else ""
        return f"{len(missing)} of {count(len(grid), 'run')} missing: {words}{more}{others}" if missing else ""

    @property
    def losses_touched(self) -> list[str]:
        """Losses of which a run is missing or left out."""
        used = {run.point for run in self.runs}
        return list(dict.fromkeys(run.loss for run in self.grid if run.point not in used))


def whole_grid(axes: list[list], there: Collection[tuple]) -> list[list]:
    """Values on each axis such that every point of the grid is there.

    The value of which the largest share is missing goes, until none is missing; of several the last axis's, so that
    seeds go before losses.
    """
    axes = [list(axis) for axis in axes]
    while missing := [point for point in product(*axes) if point not in there]:
        size = prod(map(len, axes))
        shares = {
            (sum(point[place] == value for point in missing) * len(axis) / size, place, index): value
            for place, axis in enumerate(axes)
            for index, value in enumerate(axis)
        }
        worst = max(shares)
        axes[worst[1]].remove(shares[worst])
    return axes
