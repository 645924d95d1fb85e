"""The steps of the theory, one file per table.

A step is a function of its file's name, from the settings of a case (see `theory.cases`) to the rows of its table:
plain numbers and text, None where a number would be meaningless. `loss` in the settings is a mapping of name, kind and
the loss's own parameters; `strength` and `penalty_ratio` stand for lambda_W and lambda_H.
"""

import importlib
from collections.abc import Callable, Mapping

import pandas as pd

from equal_losses.running.errors import InputError
from equal_losses.theory.cases import cases
from equal_losses.theory.statements import statements


def load(step: str) -> Callable[[Mapping], list[dict]]:
    """The step that computes a table."""
    return getattr(importlib.import_module(f"{__name__}.{step}"), step)


def tables(settings: Mapping) -> dict[str, pd.DataFrame]:
    """Every table of the theory by its name: the rows of all cases of each step, and the statements about them.

    Args:
        settings: as `theory_settings` returns them.

    Raises:
        InputError: where a case cannot be computed, with its step and its loss.
    """
    computed = {}
    for step, settings_of_cases in cases(settings).items():
        rows = []
        for case in settings_of_cases:
            try:
                rows += load(step)(case)
            except InputError as error:
                raise InputError(f"theory, {step} of {case['loss']['name']}: {error}") from error
        computed[step] = pd.DataFrame(rows)
    return computed | {"statements": statements(computed)}
