"""What can be compared of a study of which runs are missing."""

from __future__ import annotations

from itertools import product

import pytest

from equal_losses.running.errors import InputError
from equal_losses.study.partial import PartialStudy, whole_grid

AXES = [["CE", "FL", "MSE"], [0.5, 1], [40], [1, 2, 3, 4]]
GRID = set(product(*AXES))


@pytest.mark.parametrize(
    ("missing", "left"),
    [
        (set(), AXES),
        # A seed has fewer runs than a loss: three losses at two widths.
        ({("FL", 1, 40, 2)}, [["CE", "FL", "MSE"], [0.5, 1], [40], [1, 3, 4]]),
        ({point for point in GRID if point[0] == "FL"}, [["CE", "MSE"], [0.5, 1], [40], [1, 2, 3, 4]]),
        (
            {point for point in GRID if point[0] == "FL"} | {("CE", 1, 40, 4)},
            [["CE", "MSE"], [0.5, 1], [40], [1, 2, 3]],
        ),
        ({point for point in GRID if point[1] == 1}, [["CE", "FL", "MSE"], [0.5], [40], [1, 2, 3, 4]]),
        (GRID - {("MSE", 0.5, 40, 3)}, [["MSE"], [0.5], [40], [3]]),
    ],
)
def test_every_point_of_what_is_left_is_there(missing, left):
    found = whole_grid(AXES, GRID - missing)
    assert not set(product(*found)) & missing
    assert found == left


def partial(config: dict, *missing: tuple):
    return PartialStudy(config, lambda run: run.point not in missing).experiments["small"]


def test_a_missing_run_takes_with_it_what_cannot_be_compared(small_config):
    experiment = partial(small_config, ("FL", 0.5, 7, 1))
    assert ("FL", 0.5, 7, 1) not in {run.point for run in experiment.runs}
    assert len(experiment.runs) < 7
    assert experiment.missing.startswith("1 of 8 runs missing: FL width 0.5 epochs 7 seed 1; ")
    assert experiment.missing.endswith("other runs left out, to compare like with like")
    assert experiment.label == "small.partial"


def test_losses_that_are_whole_are_not_touched(small_config):
    grid = [("FL", width, epochs, 1) for width in (0.25, 0.5) for epochs in (3, 7)]
    experiment = partial(small_config, *grid)
    assert experiment.losses_touched == ["FL"]
    assert [run.loss for run in experiment.runs] == ["CE"] * 4


def test_runs_are_the_same_as_those_of_the_whole_study(small_config):
    (run, *_) = partial(small_config, ("FL", 0.5, 7, 1)).runs
    (whole, *_) = PartialStudy(small_config, bool).experiments["small"].runs
    assert (run.settings, run.sources, run.snapshot_epochs) == (whole.settings, whole.sources, whole.snapshot_epochs)


def test_a_study_without_any_run_is_an_error_that_says_what_to_do(small_config):
    with pytest.raises(InputError, match="small: no run is finished; expected one or more"):
        PartialStudy(small_config, lambda run: False)
