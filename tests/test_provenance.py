"""What changes a fingerprint, and what does not."""

from __future__ import annotations

import shutil

import pytest
from neural_collapse.provenance import LIBRARY, Codebase, digest


@pytest.fixture
def edited(tmp_path):
    """Answers the codebase of a copy of the library in which text of one module was replaced."""

    def edit(module: str = "losses", old: str = "", new: str = "") -> Codebase:
        library = tmp_path / "neural_collapse"
        shutil.rmtree(library, ignore_errors=True)
        shutil.copytree(LIBRARY, library)
        path = library / f"{module}.py"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return Codebase(library, LIBRARY.parent / "scripts")

    return edit


def changed(before: Codebase, after: Codebase, *roots: str) -> bool:
    return before.fingerprint(*roots) != after.fingerprint(*roots)


FOCAL = ("training.train", "losses.focal")
CROSS_ENTROPY = ("training.train", "losses.cross_entropy")


def test_comments_docstrings_and_layout_do_not_count(edited):
    before = Codebase()
    formula = "    return _reduce(-torch.exp(gamma * log_not_p) * log_p, reduction)"
    reformatted = "    return _reduce(\n        - torch.exp(gamma*log_not_p) * log_p,  # Eq. (4)\n        reduction)"
    assert not changed(before, edited("losses", formula, reformatted), *FOCAL)
    assert not changed(before, edited("losses", '"""Focal loss, Eq. (4)', '"""The focal loss'), *FOCAL)
    assert not changed(before, edited("training", "# The loop", "# Here it goes round"), *FOCAL)


def test_a_formula_counts_for_the_steps_that_use_it_alone(edited):
    before = Codebase()
    after = edited("losses", "gamma * log_not_p", "2 * gamma * log_not_p")
    assert changed(before, after, *FOCAL)
    assert not changed(before, after, *CROSS_ENTROPY)


def test_a_helper_counts_for_all_that_reach_it(edited):
    before = Codebase()
    after = edited("losses", "per_sample.mean()", "per_sample.median()")
    assert changed(before, after, *FOCAL)
    assert not changed(before, after, *CROSS_ENTROPY)
    assert changed(before, edited("schedule", "epoch >= end", "epoch > end"), *FOCAL, *CROSS_ENTROPY)
    assert changed(before, edited("training", "padding + 1, (2, count)", "padding, (2, count)"), *CROSS_ENTROPY)


def test_what_a_step_does_not_use_does_not_count(edited):
    before = Codebase()
    assert not changed(before, edited("plotstyle", "lines.linewidth", "lines.markersize"), *FOCAL)
    assert not changed(before, edited("jobs", "ETA", "left"), "train.py", *FOCAL)
    assert changed(
        before, edited("plotstyle", "lines.linewidth", "lines.markersize"), "figure.py", "figures.nc_evolution"
    )


def test_a_script_counts_with_what_it_calls(edited):
    before = Codebase()
    after = edited("metrics", "simplex_etf(len(matrix))", "2 * simplex_etf(len(matrix))")
    assert changed(before, after, "nc_metrics.py")
    assert not changed(before, after, "figure.py", "figures.nc_evolution")


def test_functions_and_their_parameters_are_read_without_importing():
    parameters = Codebase().functions("losses")
    assert set(parameters) == {"cross_entropy", "label_smoothing", "focal", "mse"}
    assert parameters["mse"] == {
        "kappa": Codebase.REQUIRED,
        "beta": Codebase.REQUIRED,
        "class_reduction": "sum",
        "reduction": "mean",
    }


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1}) != digest({"a": 1, "b": [3, 2]})
