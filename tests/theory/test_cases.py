"""The section `theory` as cases."""

import subprocess
import sys

import pytest

from equal_losses.running.errors import InputError
from equal_losses.study.kinds import kinds
from equal_losses.theory.cases import cases, theory_settings

from .small_study import config


def changed(change=lambda theory: None):
    """The settings of the small study with a changed section."""
    study = config()
    change(study["theory"])
    return theory_settings(study)


def names(settings_of_cases):
    """The losses of cases."""
    return [case["loss"]["name"] for case in settings_of_cases]


def test_every_step_has_its_cases():
    assert sorted(cases(changed())) == kinds("theory.steps")


def test_a_case_is_of_one_loss_and_one_size():
    minima = cases(changed())["minima"]
    assert names(minima) == ["CE", "FL", "MSE"] * 2
    assert [case["classes"] for case in minima] == [3, 3, 3, 4, 4, 4]


def test_a_penalised_bias_is_for_losses_that_a_shift_changes():
    assert names(cases(changed())["bias_sweep"]) == ["MSE"]


def test_a_landscape_of_some_kinds_leaves_out_the_other_losses():
    assert names(case for case in cases(changed())["starts"] if case["classes"] == 30) == ["FL"]


def test_a_study_may_choose_losses():
    assert names(cases(changed(lambda theory: theory.update(losses=["FL"])))["descent"]) == ["FL"]


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda theory: theory.update(losses=["hinge"]),
            "theory.losses: 'hinge'; allowed, of logits alone: CE, FL, MSE",
        ),
        (lambda theory: theory["minimise"]["sizes"][0].update(dim=3), "theory.minimise.sizes[0].dim: 3; allowed"),
        (lambda theory: theory["bias_sweep"]["sizes"][0].update(dim=2), "theory.bias_sweep.sizes[0].dim: 2; allowed"),
        (lambda theory: theory["descent"].update(dim=3), "theory.descent.dim: 3; allowed"),
        (lambda theory: theory["landscape"][1].update(dim=30), "theory.landscape[1].dim: 30; allowed"),
        (lambda theory: theory["landscape"][0].update(ranks=[1, 6]), "theory.landscape[0].ranks: 6; allowed: 0 to 5"),
    ],
)
def test_a_wrong_section_is_named(change, message):
    with pytest.raises(InputError) as error:
        changed(change)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "module, absent",
    [
        ("equal_losses.theory.cases", {"torch", "pandas", "numpy"}),
        ("equal_losses.theory.statements", {"torch"}),
    ],
)
def test_what_only_reads_settings_or_tables_imports_little(module, absent):
    code = f"import sys, {module}; print(*{absent} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert printed.stdout.split() == []
