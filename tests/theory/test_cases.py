"""The section `theory` as cases."""

import json
import subprocess
import sys

import pytest

from equal_losses.running.errors import InputError
from equal_losses.study.kinds import kinds
from equal_losses.study.theory import TABLES, TheoryCases, loss_kinds

from .small_study import config


def changed(change):
    """The small study's configuration with a changed section."""
    study = config()
    change(study["theory"])
    return study


def test_a_table_is_a_step():
    assert sorted(TABLES) == kinds("theory.steps")


def test_every_table_has_its_cases_in_order():
    assert tuple(TheoryCases(config()).cases) == TABLES


def test_cases_are_named_by_loss_and_size():
    cases = TheoryCases(config()).cases
    assert list(cases["minima"])[:3] == ["CE-K3-n2-d5", "FL-K3-n2-d5", "MSE-K3-n2-d5"]
    assert list(cases["descent"]) == ["CE", "FL", "MSE"]
    assert "FL-K30-n1-d31-Kc1.23" in cases["starts"]


def test_cases_are_plain_json():
    cases = TheoryCases(config()).cases
    assert json.loads(json.dumps(cases)) == cases


def test_a_penalised_bias_is_for_mse():
    assert list(TheoryCases(config()).cases["bias_sweep"]) == ["MSE-K3-n2-d5"]


def test_a_landscape_of_some_kinds_leaves_out_the_other_losses():
    cases = TheoryCases(config()).cases["critical_points"]
    assert [case for case in cases if "K30" in case] == ["FL-K30-n1-d31-Kc1.23"]


def test_a_study_may_choose_losses():
    cases = TheoryCases(changed(lambda theory: theory.update(losses=["FL"]))).cases
    assert list(cases["descent"]) == ["FL"]


def test_ranks_are_chosen_where_none_are_given():
    cases = TheoryCases(config()).cases["critical_points"]
    assert cases["CE-K3-n2-d5-Kc0.1"]["ranks"] == [0, 1, 2]


def test_more_starts_do_not_change_the_critical_points():
    more = TheoryCases(changed(lambda theory: theory["landscape"][0].update(starts=5, scales=[1]))).cases
    few = TheoryCases(config()).cases
    assert more["critical_points"] == few["critical_points"]
    assert more["starts"] != few["starts"]


def test_kinds_of_a_case_are_those_of_its_losses():
    cases = TheoryCases(config()).cases
    assert loss_kinds(cases["minima"]["FL-K3-n2-d5"]) == {"focal"}
    assert loss_kinds(cases["geometry"]["all"]) == {"cross_entropy", "focal", "mse"}
    assert loss_kinds(cases["focal_convexity"]["focal"]) == set()


def test_lines_are_drawn_for_every_number_of_classes():
    assert TheoryCases(config()).closed_form_settings["classes"] == [3, 4, 10, 18]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda theory: theory.update(losses=["hinge"]), "theory.losses: 'hinge'; allowed: CE, FL, MSE"),
        (lambda theory: theory["minimise"]["sizes"][0].update(dim=3), "theory.minimise.sizes[0].dim: 3; allowed"),
        (lambda theory: theory["bias_sweep"]["sizes"][0].update(dim=2), "theory.bias_sweep.sizes[0].dim: 2; allowed"),
        (lambda theory: theory["descent"].update(dim=3), "theory.descent.dim: 3; allowed"),
        (lambda theory: theory["landscape"][1].update(dim=30), "theory.landscape[1].dim: 30; allowed"),
        (lambda theory: theory["landscape"][0].update(ranks=[1, 6]), "theory.landscape[0].ranks: 6; allowed: 0 to 5"),
        (
            lambda theory: theory["minimise"]["sizes"].append(theory["minimise"]["sizes"][0]),
            "theory.minimise.sizes: two entries give the case CE-K3-n2-d5",
        ),
    ],
)
def test_a_wrong_section_is_named(change, message):
    with pytest.raises(InputError) as error:
        TheoryCases(changed(change))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "modules, absent",
    [
        ("equal_losses.study.theory", {"torch", "pandas", "numpy"}),
        ("equal_losses.theory.tables, equal_losses.theory.statements", {"torch"}),
    ],
)
def test_what_only_reads_settings_or_tables_imports_little(modules, absent):
    code = f"import sys, {modules}; print(*{absent} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert printed.stdout.split() == []
