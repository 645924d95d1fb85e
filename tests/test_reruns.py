"""What runs again after a change, and what does not: the exact jobs of a dry run after a finished study."""

from __future__ import annotations

import copy
import shutil
from itertools import product

import pytest

from .conftest import ROOT, SMALL_STUDY, Workflow

FIGURES = {
    f"figure small/{name}"
    for name in (
        "nc_evolution",
        "nc_evolution_centered",
        "accuracy_evolution",
        "test_accuracy",
        "accuracy_gap",
        "seed_variance",
        "equivalence",
        "collapse_and_accuracy",
        "overview",
    )
}
# What a change of the tables of all runs brings about, and what one of the largest runs' weights does besides.
SUMMARY = {"collect small", "evidence small", *FIGURES, "all"}
ALIGNMENT = {"align_features small", "figure small/alignment_cka", "figure small/alignment_procrustes"}


@pytest.fixture
def study(finished, tmp_path) -> Workflow:
    """The finished study, copied, under a copy of the repository that may be edited."""
    shutil.copytree(finished.directory / "results", tmp_path / "results")
    # Without Snakemake's cache of sources, because the copy's are others.
    shutil.copytree(finished.directory / ".snakemake", tmp_path / ".snakemake")
    root = tmp_path / "repository"
    for name in ("config", "profiles", "workflow"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", root)
    return Workflow(tmp_path, copy.deepcopy(SMALL_STUDY), root)


def edit(study: Workflow, path: str, old: str, new: str) -> None:
    file = study.root / path
    text = file.read_text()
    assert text.count(old) >= 1, f"{path} does not hold {old!r}"
    file.write_text(text.replace(old, new, 1))


def library(name: str) -> str:
    return f"workflow/neural_collapse/{name}.py"


def runs(losses=("CE", "FL"), widths=(0.25, 0.5), epochs=(3, 7), seeds=(1,), *, stems=True) -> set[str]:
    """Jobs that these runs need, from training to metrics; both budgets share a stem of one epoch."""
    points = ["/".join(map(str, point)) for point in product(losses, widths, epochs, seeds)]
    jobs = {f"{rule} small/{point}" for rule in ("train", "extract_features", "nc_metrics") for point in points}
    if stems:
        jobs |= {f"train_stem small/{loss}/{width}/{seed}/1" for loss, width, seed in product(losses, widths, seeds)}
    return jobs


EVERYTHING = {"prepare_dataset digits", *runs(), *SUMMARY, *ALIGNMENT}


def test_everything_runs_once(workflow):
    assert workflow.jobs() == EVERYTHING


def test_nothing_touched_is_nothing_to_do(study):
    assert study.jobs() == set()


def test_time_stamps_do_not_count(study):
    sources = [path for path in study.root.rglob("*") if path.is_file()]
    assert len(sources) > 40
    for path in [*sources, *study.directory.glob("results/datasets/**/*.npy")]:
        path.touch()
    assert study.jobs() == set()


def test_comments_docstrings_and_layout_do_not_count(study):
    edit(study, library("losses"), '"""Focal loss, Eq. (4)', '"""The focal loss')
    edit(
        study,
        library("losses"),
        "    return _reduce(-torch.exp(gamma * log_not_p) * log_p, reduction)",
        "    # Eq. (4)\n    return _reduce(\n        -torch.exp(gamma*log_not_p) * log_p,\n        reduction\n    )",
    )
    edit(study, library("training"), "# The loop\n", "# Round and round\n\n")
    edit(study, "workflow/scripts/train.py", '"""Rule train:', '"""The rule train:')
    edit(study, "workflow/rules/training.smk", "rule train:", "# A run.\nrule train:")
    assert study.jobs() == set()


def test_a_changed_focal_loss_is_the_focal_runs(study):
    edit(study, library("losses"), "gamma * log_not_p", "(gamma + 1) * log_not_p")
    assert study.jobs() == {*runs(losses=["FL"]), *SUMMARY, *ALIGNMENT}


def test_a_changed_parameter_of_the_focal_loss_is_the_focal_runs(study):
    study.config["losses"]["FL"]["gamma"] = 2
    assert study.jobs() == {*runs(losses=["FL"]), *SUMMARY, *ALIGNMENT}


def test_a_changed_schedule_is_every_training(study):
    edit(study, library("schedule"), "epoch >= end", "epoch > end")
    assert study.jobs() == {*runs(), *SUMMARY, *ALIGNMENT}


def test_a_changed_metric_is_the_metrics(study):
    edit(study, library("metrics"), "simplex_etf(len(matrix))", "2 * simplex_etf(len(matrix))")
    assert study.jobs() == {job for job in runs() if job.startswith("nc_metrics")} | SUMMARY


def test_a_changed_plot_style_is_the_figures(study):
    edit(study, library("plotstyle"), '"lines.linewidth": ', '"lines.linewidth": 0.1 + ')
    assert study.jobs() == {*FIGURES, *ALIGNMENT, "all"} - {"align_features small"}


def test_a_changed_margin_is_the_evidence_and_its_figures(study):
    study.config["evidence"] = {"margin": 0.02}
    assert study.jobs() == {"evidence small", "figure small/equivalence", "figure small/collapse_and_accuracy", "all"}


def test_a_changed_threshold_of_a_claim_is_no_job_but_the_ledgers(study):
    study.config["evidence"] = {"nc1": 0.05}
    assert study.jobs() == set()


def test_a_changed_comparison_of_features_is_the_alignment(study):
    edit(study, library("alignment"), "def linear_cka(", "OTHER = 1\n\n\ndef linear_cka(")
    assert study.jobs() == set()
    edit(study, "workflow/scripts/align_features.py", '"split": split', '"split": str(split)')
    assert study.jobs() == {*ALIGNMENT, "all"}


def test_a_changed_figure_is_that_figure(study):
    edit(study, library("figures"), "def seed_variance(", "def seed_variance_(")
    edit(study, library("figures"), "def seed_variance_(", "def seed_variance(")
    assert study.jobs() == set()
    text = (study.root / library("figures")).read_text()
    start = text.index("def seed_variance(")
    body = text.index('"""\n', text.index('"""', start) + 3) + 4
    (study.root / library("figures")).write_text(text[:body] + "    runs = runs\n" + text[body:])
    assert study.jobs() == {"figure small/seed_variance", "all"}


def test_how_files_are_written_and_logged_does_not_count(study):
    edit(study, library("jobs"), "epochs/h", "epochs an hour")
    edit(study, library("files"), "os.fsync(file.fileno())", "os.fdatasync(file.fileno())")
    edit(study, library("devices"), "leased", "taken")
    edit(study, library("checkpoints"), "KEPT = 2", "KEPT = 3")
    assert study.jobs() == set()


def test_one_more_seed_is_its_runs(study):
    study.config["experiments"]["small"]["seeds"] = [1, 2]
    assert study.jobs() == {*runs(seeds=[2]), *SUMMARY, *ALIGNMENT}


def test_one_more_width_is_its_runs(study):
    study.config["experiments"]["small"]["widths"] = [0.25, 1, 0.5]
    assert study.jobs() == {*runs(widths=[1]), *SUMMARY, *ALIGNMENT}


def test_one_more_loss_is_its_runs(study):
    study.config["losses"]["LS"] = {"kind": "label_smoothing", "smoothing": 0.1}
    study.config["experiments"]["small"]["losses"] = ["LS", "CE", "FL"]
    assert study.jobs() == {*runs(losses=["LS"]), *SUMMARY, *ALIGNMENT}


def test_one_more_budget_is_its_runs(study):
    study.config["experiments"]["small"]["epochs"] = [3, 7, 4]
    # Four epochs have their first decay after the first, as three have, and leave the stem there.
    assert study.jobs() == {*runs(epochs=[4]), *SUMMARY}


def test_a_loss_that_no_experiment_uses_is_nothing(study):
    study.config["losses"]["LS"] = {"kind": "label_smoothing", "smoothing": 0.1}
    edit(study, library("losses"), "kappa * (", "2 * kappa * (")
    assert study.jobs() == set()


def test_a_changed_default_counts_where_it_is_used(study):
    batch = "batch_size: {type: integer, minimum: 1, default: 128}"
    edit(study, "config/schema.yaml", batch, batch.replace("128", "256"))
    assert study.jobs() == set(), "the study has a batch size of its own"
    edit(study, "config/schema.yaml", "exclusiveMaximum: 1, default: 0.9}", "exclusiveMaximum: 1, default: 0.8}")
    assert study.jobs() == {*runs(), *SUMMARY, *ALIGNMENT}


def test_where_it_is_computed_does_not_count(study):
    study.config["compute"] = {"device": "cpu", "threads": 2, "checkpoint_minutes": 3}
    study.config["compute"] |= {"compile": True, "cuda_graphs": True}
    assert study.jobs() == set()


def test_a_changed_split_is_everything(study):
    study.config["datasets"]["digits"]["split_seed"] = 1
    assert study.jobs() == EVERYTHING


def test_a_fresh_clone_beside_results_is_nothing_to_do(study):
    shutil.rmtree(study.directory / ".snakemake")
    assert study.jobs() == set()


def test_a_named_figure_is_what_it_needs(study, tmp_path_factory):
    target = "results/figures/small/nc_evolution.pdf"
    nothing_done = Workflow(tmp_path_factory.mktemp("empty"), copy.deepcopy(SMALL_STUDY))
    assert nothing_done.jobs(target) == {
        "prepare_dataset digits",
        *runs(),
        "collect small",
        "figure small/nc_evolution",
    }
    study.config["losses"]["FL"]["gamma"] = 2
    study.config["experiments"]["other"] = {**study.config["experiments"]["small"], "losses": ["CE"]}
    assert study.jobs(target) == {*runs(losses=["FL"]), "collect small", "figure small/nc_evolution"}


def test_a_dataset_is_prepared_once_for_all_workflows(tmp_path):
    """Snakemake's cache between workflows: the second study takes the first one's arrays."""
    cache = tmp_path / "cache"
    cache.mkdir()
    computed = []
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
        study = Workflow(tmp_path / name, copy.deepcopy(SMALL_STUDY))
        if name == "third":
            study.config["datasets"]["digits"]["split_seed"] = 1
        result = study.run("--cache", "prepare_dataset", "--", "datasets", SNAKEMAKE_OUTPUT_CACHE=str(cache))
        computed.append("to cache" in result.stdout + result.stderr)
    assert computed == [True, False, True], "only what is not in the cache is computed"
    manifests = [
        (tmp_path / name / "results/datasets/digits/manifest.json").read_text() for name in ("first", "second", "third")
    ]
    assert manifests[0] == manifests[1] != manifests[2]
    images = [(tmp_path / name / "results/datasets/digits/images_val.npy").read_bytes() for name in ("first", "second")]
    assert images[0] == images[1]
