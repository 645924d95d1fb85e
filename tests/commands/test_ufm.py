"""The command `ufm`."""

import argparse
import json
import subprocess
import sys

import pytest

from equal_losses.commands import ufm
from equal_losses.running.errors import InputError

SIZES = ("--classes", "4", "--samples", "5", "--dim", "7", "--lambda-w", "5e-3", "--lambda-h", "1e-3")


@pytest.fixture
def command(capsys):
    """Runs the command; returns what it printed, and the lines on the error output."""
    parser = argparse.ArgumentParser()
    ufm.add_parser(parser.add_subparsers())

    def run(*arguments):
        options = parser.parse_args(["ufm", *arguments])
        options.run(options)
        output = capsys.readouterr()
        return json.loads(output.out), output.err.splitlines()

    return run


@pytest.mark.parametrize("loss, margin", [("CE", 5.283204), ("LS", 3.412247), ("FL", 2.173895), ("MSE", 14.99)])
def test_the_minimum_is_printed_beside_its_closed_form(command, loss, margin):
    result, notes = command("--loss", loss, *SIZES)
    assert list(result) == [
        "objective", "objective_closed_form", "margin", "margin_closed_form", "weight_norm_sq",
        "weight_norm_sq_closed_form", "nc1", "nc2", "nc3", "nc2_centered", "nc3_centered", "logit_gradient",
        "gradient_norm", "certificate", "is_convex", "min_hessian_eigenvalue",
    ]  # fmt: skip
    assert result["margin"] == pytest.approx(margin, abs=5e-7)
    assert result["margin_closed_form"] == pytest.approx(margin, abs=5e-7)
    assert result["certificate"] == pytest.approx(1)
    assert abs(result["min_hessian_eigenvalue"]) < 1e-9
    assert result["is_convex"] is (loss != "FL")
    assert [note.split(": ")[1] for note in notes] == ["FL is not convex in the logits"] * (loss == "FL")


def test_a_loss_without_closed_form_is_predicted_from_itself(command):
    result, notes = command("--loss", "gce", *SIZES)
    assert result["margin"] == pytest.approx(5.272346, abs=1e-6)
    assert result["margin_closed_form"] == pytest.approx(5.272346, abs=1e-6)
    assert result["objective_closed_form"] == pytest.approx(0.094281169, abs=1e-9)
    assert notes[0].startswith("equal-losses: the bound of one sample shows without a bias that collapse is optimal: ")
    assert len(notes) == 2, "and it is not convex"


def test_a_loss_that_merges_classes_is_said_to_have_no_bound(command):
    result, notes = command("--loss", "top_k", *SIZES)
    assert result["objective"] < result["objective_closed_form"]
    assert notes[0].startswith("equal-losses: the bound of one sample shows nowhere that collapse is optimal: ")


@pytest.mark.parametrize("changed", [("--lambda-b", "0.1"), ("--lambda-w", "1e-12")])
def test_one_line_says_that_nothing_is_predicted(command, changed):
    result, notes = command("--loss", "one_vs_all", *SIZES, *changed)
    assert result["margin_closed_form"] is None and result["objective"] is not None
    (note,) = notes
    assert note.startswith("equal-losses: nothing is predicted for one_vs_all: ")


def test_a_parameter_replaces_that_of_the_paper(command):
    one, _ = command("--loss", "FL", "--gamma", "0", *SIZES)
    other, _ = command("--loss", "cross_entropy", *SIZES)
    assert one["margin"] == pytest.approx(other["margin"], rel=1e-9)


def test_the_bias_may_be_penalised(command):
    biased, _ = command("--loss", "MSE", "--lambda-b", "0.01", *SIZES)
    assert biased["nc2"] == pytest.approx(0.4598, abs=1e-4)


def test_metrics_of_the_zero_solution_are_null(command):
    collapsed, _ = command("--loss", "CE", *SIZES[:6], "--lambda-w", "1", "--lambda-h", "1")
    assert collapsed["nc2"] is None and collapsed["certificate"] < 1


def test_one_line_says_why_there_is_no_closed_form_below_as_many_dimensions_as_classes(command):
    result, notes = command("--loss", "CE", "--dim", "3", *SIZES[:4], *SIZES[6:])
    assert result["margin_closed_form"] is None
    assert result["margin"] == pytest.approx(5.283204, abs=5e-7)  # the simplex still fits
    (note,) = notes
    assert note.startswith("equal-losses: dim 3 is below classes 4: no closed form")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--seed", "-1"), "--seed: -1; allowed: at least 0"),
        (("--classes", "1"), "classes is 1"),
        (("--samples", "-2"), "samples is -2"),
        (("--dim", "0"), "dim is 0"),
        (("--lambda-w", "nan"), "lambda_W is nan"),
        (("--lambda-b", "-1"), "lambda_b is -1.0"),
    ],
)
def test_a_number_out_of_range_is_named_in_one_line(command, arguments, message):
    with pytest.raises(InputError) as error:
        command("--loss", "CE", *SIZES, *arguments)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_help_needs_no_pytorch():
    code = """
import argparse, sys
from equal_losses.commands import contrastive, ufm
commands = argparse.ArgumentParser().add_subparsers()
ufm.add_parser(commands)
contrastive.add_parser(commands)
print("torch" in sys.modules)
"""
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert printed.stdout == "False\n"
