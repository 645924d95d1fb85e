"""Finished studies, copied for readers, and the tables that pages make of them."""

from __future__ import annotations

import html
import json

import pandas as pd
import pytest

from equal_losses.commands import opening
from equal_losses.commands.main import main
from equal_losses.page import markdown
from equal_losses.running.errors import InputError
from tests.conftest import ROOT, edit

STUDIES = ROOT / "docs" / "studies"
README = ROOT / "README.md"
KEPT = ("demo",)

PAGE = """Before.

<!-- verdicts of exported -->
<!-- end -->

<!-- largest of exported -->
what was here before
<!-- end -->

<!-- losses of exported -->
<!-- end -->

After.
"""


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """The folder that the small study is exported to, with a page beside it."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "page.md").write_text(PAGE)
    study = [str(finished.directory / "study.yaml"), "--directory", str(finished.directory)]
    assert main(["export", *study, "--to", str(folder / "exported"), "--readme", str(folder / "page.md")]) == 0
    return folder / "exported"


def refusal(capsys, study, target) -> str:
    """The one line that says why a study is not exported."""
    study.command()  # writes the study as it now is
    options = ["--directory", str(study.directory), "--to", str(target)]
    assert main(["export", str(study.directory / "study.yaml"), *options]) == 2
    assert not target.exists(), "nothing is copied of what is not whole"
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_page_claims_tables_and_figures_are_as_in_the_results(finished, exported):
    results = finished.results
    own = {path.relative_to(results / "studies/small"): path for path in (results / "studies/small").rglob("*.*")}
    shared = {
        path.relative_to(results): path for part in ("tables", "figures") for path in (results / part).rglob("*.*")
    }
    wanted = {name: path for name, path in (own | shared).items() if path.suffix in (".csv", ".png", ".html")}
    copied = {path.relative_to(exported): path for path in exported.rglob("*.*")}
    assert set(copied) == {*wanted, (exported / "run.json").relative_to(exported)}
    assert all(copied[name].read_bytes() == path.read_bytes() for name, path in wanted.items())


def test_the_records_of_all_runs_are_one_list(finished, exported):
    folders = pd.read_csv(exported / "tables/small/runs.csv")["folder"]
    records = [json.loads((finished.directory / folder / "run.json").read_text()) for folder in folders]
    assert json.loads((exported / "run.json").read_text()) == records


def test_an_unfinished_study_is_refused(study, tmp_path, capsys):
    study.config["losses"]["FL"]["gamma"] = 2
    assert "expected a finished study" in refusal(capsys, study, tmp_path / "exported")


def test_a_changed_file_is_refused(study, tmp_path, capsys):
    edit(study.results / "tables/small/runs.csv", "0.", "1.")
    assert "runs.csv: changed since it was written" in refusal(capsys, study, tmp_path / "exported")


def test_the_page_has_the_verdicts_of_the_ledger(exported):
    page = (exported.parent / "page.md").read_text()
    ledger = pd.read_csv(exported / "claims.csv").dropna(subset="seeds")
    assert "| claim | small |" in page
    for claim, rows in ledger.groupby("claim"):
        (line,) = (line for line in page.splitlines() if line.startswith(f"| {claim} |"))
        assert all(verdict in line for verdict in rows["verdict"])


def test_the_page_has_the_means_of_the_largest_configuration(exported):
    page = (exported.parent / "page.md").read_text()
    runs = pd.read_csv(exported / "tables/small/runs.csv")
    assert "`small`: small_resnet on digits. Width 0.5, 7 epochs, mean over 1 seed" in page
    for row in runs[(runs["width"] == 0.5) & (runs["epochs"] == 7)].itertuples():
        assert f"| {row.loss} | {row.final_accuracy_train:.2%} | {row.accuracy_test:.2%} | {row.nc1:.4f} |" in page


def test_the_page_has_a_row_for_each_loss_of_the_theory(exported):
    page = (exported.parent / "page.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith("| FL: `focal` (gamma = 3) |"))
    formula = "Focal loss, Eq. (4): -(1 - p)^gamma log p, with p the softmax probability of the true class."
    assert f"| {formula} | Definition 1 holds | neural collapse; by the bound of one sample, for any lambda_b |" in row
    assert "| small: " in row, "the verdict on trained networks"


def test_the_rest_of_the_page_is_left_as_it_was(exported):
    page = (exported.parent / "page.md").read_text()
    assert page.startswith("Before.\n\n<!--") and page.endswith("-->\n\nAfter.\n")
    assert "what was here before" not in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no table", "page.md: 0 marked tables"),
        ("<!-- largest of a -->\n\n<!-- largest of b -->\n<!-- end -->\n", "page.md: 2 marked tables, 1 with an end"),
        ("<!-- smallest of a -->\n<!-- end -->\n", "page.md: table 'smallest'; allowed: verdicts, largest"),
        ("<!-- verdicts of a -->\n<!-- end -->\n", "a/claims.csv"),
    ],
)
def test_a_wrong_marker_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        markdown.renewed(text, tmp_path / "page.md")


# The studies that this repository keeps


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "losses.md"])
def test_a_page_prints_what_the_kept_studies_say(page):
    text = page.read_text()
    assert markdown.renewed(text, page) == text


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_study_is_the_one_that_is_shipped(name):
    (experiment,) = opening.opened([ROOT / "config" / f"{name}.yaml"]).study.experiments.values()
    kept = json.loads((STUDIES / name / "run.json").read_text())
    for record, run in zip(kept, experiment.runs, strict=True):
        assert {**run.settings, **record["settings"]} == run.settings


@pytest.mark.parametrize("name", (*KEPT, "theory"))
def test_the_page_of_a_kept_study_has_its_claims(name):
    page = (STUDIES / name / "report.html").read_text()
    for numbers in pd.read_csv(STUDIES / name / "claims.csv")["numbers"]:
        assert html.escape(numbers, quote=False).replace("'", "&#39;") in page
