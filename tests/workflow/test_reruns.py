"""What is made again after a change, and what is not: results that a study wants and that are not there.

That Snakemake runs a job for exactly these is in `test_trust`.
"""

from __future__ import annotations

from itertools import product

import pytest

from tests.conftest import edit

LIBRARY = "src/equal_losses"
DRAWN_FROM_TABLES = (
    "nc_evolution",
    "nc_evolution_centered",
    "accuracy_evolution",
    "test_accuracy",
    "accuracy_gap",
    "seed_variance",
    "overview",
)
COMPARED = {f"figures/small/{name}" for name in ("equivalence", "collapse_and_accuracy")}
PAGE = "studies/small/report"
PRODUCT = {"studies/small/claims", PAGE}
TABLES = {f"tables/small/{name}" for name in ("runs", "trajectories", "equivalence", "correlation")}
FIGURES = {f"figures/small/{name}" for name in DRAWN_FROM_TABLES} | COMPARED
# What a change of any run brings about, and what one of the largest runs' weights does besides.
SUMMARY = TABLES | FIGURES | PRODUCT
ALIGNMENT = {"tables/small/alignment", "figures/small/alignment_cka", "figures/small/alignment_procrustes"}


def runs(losses=("CE", "FL"), widths=(0.25, 0.5), epochs=(3, 7), seeds=(1,)) -> set[str]:
    """What is made for these runs, from training to metrics."""
    places = [
        f"runs/small/{loss}/width{width}/epochs{budget}/seed{seed}"
        for loss, width, budget, seed in product(losses, widths, epochs, seeds)
    ]
    return {f"{place}{part}" for place in places for part in ("", "/features", "/nc_metrics")}


def measured(*parts: str) -> set[str]:
    """These parts of every run."""
    return {place for place in runs() if place.rpartition("/")[2] in parts}


THEORY_TABLES = {
    f"studies/small/theory/tables/{name}"
    for name in (
        *(
            "bands",
            "bias_sweep",
            "closed_forms",
            "critical_points",
            "curves",
            "definition",
            "descent",
            "focal_convexity",
        ),
        *("conjecture", "geometry", "minima", "spheres", "starts", "statements", "theorem_1_bias"),
    )
}
# What is made in the theory, all tables at once, and what comes of it.
THEORY = {
    *THEORY_TABLES,
    *(f"studies/small/theory/figures/{name}" for name in ("contrastive_property", "focal_convexity", "focal_tie")),
    *(f"studies/small/theory/figures/{name}" for name in ("geometry", "margin_regularisation", "margins")),
    *(f"studies/small/theory/figures/{name}" for name in ("random_starts", "ufm_descent")),
    *PRODUCT,
}


def test_a_finished_study_has_nothing_to_do(finished):
    assert finished.to_do() == set()


def test_comments_docstrings_and_layout_do_not_count(edited):
    edit(
        edited.root / LIBRARY / "losses/focal.py",
        "    log_probabilities =",
        "    # another comment\n\n    log_probabilities =",
    )
    edit(edited.root / LIBRARY / "losses/focal.py", '"""Focal loss', '"""Another docstring. Focal loss')
    assert edited.to_do() == set()


def test_a_changed_focal_loss_is_the_focal_runs_and_its_theory(edited):
    edit(edited.root / LIBRARY / "losses/focal.py", "gamma * log_not_p", "1.0 * gamma * log_not_p")
    assert edited.to_do() == runs(losses=["FL"]) | SUMMARY | ALIGNMENT | THEORY


def test_a_changed_parameter_of_the_focal_loss_is_the_focal_runs_and_its_theory(study):
    study.config["losses"]["FL"]["gamma"] = 2
    assert study.to_do() == runs(losses=["FL"]) | SUMMARY | ALIGNMENT | THEORY


def test_a_changed_schedule_is_every_training(study):
    study.config["experiments"]["small"]["training"]["schedule"] = {"kind": "steps", "factor": 0.2}
    assert study.to_do() == runs() | SUMMARY | ALIGNMENT


def test_a_changed_metric_is_measured_again_and_trains_nothing(edited):
    edit(edited.root / LIBRARY / "metrics/collapse.py", '"nc1": ', '"nc1_again": 0.0, "nc1": ')
    assert {place for place in edited.to_do() if place.startswith("runs/")} == measured("nc_metrics")


def test_a_changed_statistic_of_the_features_takes_them_again_and_trains_nothing(edited):
    edit(edited.root / LIBRARY / "metrics/feature_statistics.py", "BLOCK_ROWS = 2048", "BLOCK_ROWS = 1024")
    assert {place for place in edited.to_do() if place.startswith("runs/")} == measured("features", "nc_metrics")


def test_a_changed_plot_style_is_the_figures_and_the_page(edited):
    edit(edited.root / LIBRARY / "figures/style.py", '"lines.linewidth": 1.4', '"lines.linewidth": 1.5')
    to_do = edited.to_do()
    assert to_do > FIGURES
    assert not any(place.startswith(("runs/", "tables/")) for place in to_do)
    assert not to_do & THEORY_TABLES


def test_a_changed_figure_is_that_figure_and_the_page(edited):
    edit(edited.root / LIBRARY / "figures/experiment/nc_evolution.py", "metric_panels", "accuracy_panels")
    assert edited.to_do() == {"figures/small/nc_evolution", PAGE}


def test_a_changed_margin_is_the_comparison_its_figures_and_the_product(study):
    study.config["evidence"] = {"margin": 0.02}
    assert study.to_do() == {"tables/small/equivalence", "figures/small/equivalence", *PRODUCT}


def test_a_changed_threshold_of_a_claim_is_the_claims_and_the_page(study):
    study.config["evidence"] = {"nc1": 0.2}
    assert study.to_do() == PRODUCT


def test_a_changed_verdict_is_the_claims_and_the_page(edited):
    edit(edited.root / LIBRARY / "claims/zhou2022.py", "all(", "any(")
    assert edited.to_do() == PRODUCT


def test_a_changed_comparison_of_features_is_the_alignment(edited):
    edit(edited.root / LIBRARY / "metrics/alignment.py", "max(distance, 0.0)", "max(distance, 0.00)")
    edit(edited.root / LIBRARY / "metrics/alignment.py", "BLOCK_ROWS = 2048", "BLOCK_ROWS = 1024")
    assert edited.to_do() >= ALIGNMENT
    assert not edited.to_do() & (TABLES | runs())


def test_how_files_are_written_and_logged_does_not_count(edited):
    edit(edited.root / LIBRARY / "running/shell.py", "HEARTBEAT_SECONDS = 20", "HEARTBEAT_SECONDS = 21")
    edit(edited.root / LIBRARY / "running/records.py", "expected key", "and expected was key")
    assert edited.to_do() == set()


def test_one_more_seed_is_its_runs(study):
    study.config["experiments"]["small"]["seeds"] = [1, 2]
    assert study.to_do() == runs(seeds=[2]) | SUMMARY | ALIGNMENT


def test_one_more_width_is_its_runs(study):
    study.config["experiments"]["small"]["widths"] = [0.25, 0.5, 0.75]
    assert study.to_do() == runs(widths=[0.75]) | SUMMARY | ALIGNMENT


def test_one_more_budget_is_its_runs(study):
    study.config["experiments"]["small"]["epochs"] = [3, 7, 9]
    assert study.to_do() == runs(epochs=[9]) | SUMMARY | ALIGNMENT


def test_one_more_loss_is_its_runs_and_its_theory(study):
    study.config["losses"]["LS"] = {"kind": "label_smoothing", "smoothing": 0.1}
    study.config["experiments"]["small"]["losses"] = ["CE", "FL", "LS"]
    assert study.to_do() == runs(losses=["LS"]) | SUMMARY | ALIGNMENT | THEORY


def test_a_changed_default_counts_where_it_is_used(edited):
    edit(edited.root / LIBRARY / "networks/small_resnet.py", "stem_stride: int = 1", "stem_stride: int = 2")
    assert runs() <= edited.to_do()


def test_where_it_is_computed_does_not_count(study):
    study.config["compute"] = {"threads": 2, "checkpoint_minutes": 1, "device": "cpu"}
    assert study.to_do() == set()


def test_sharing_a_trunk_does_not_count(study):
    study.config["experiments"]["small"]["share_trunk"] = False
    assert study.to_do() == set()


def test_a_changed_split_is_everything_but_the_theory(study):
    study.config["datasets"]["digits"]["split_seed"] = 1
    assert study.to_do() == {"datasets/digits"} | runs() | SUMMARY | ALIGNMENT


@pytest.mark.parametrize("names", [("experiments", "small", "other"), ("losses", "CE", "XE")])
def test_another_name_is_another_folder(study, names):
    section, old, new = names
    study.config[section][new] = study.config[section].pop(old)
    if section == "losses":
        study.config["experiments"]["small"]["losses"] = [new, "FL"]
    assert any(f"/{new}" in place for place in study.to_do())
