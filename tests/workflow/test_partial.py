"""A study of which runs are missing: what is there comes as tables, figures and a page when it is asked for."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def partial(finished, tmp_path_factory):
    """The finished study without a run of FL, and what is made of the rest."""
    study = finished.copy(tmp_path_factory.mktemp("partial"))
    shutil.rmtree(study.folder("small/FL/width0.5/epochs7/seed1"))
    planned = study.planned("partial")
    study.run("partial")
    return study, planned


def test_nothing_is_trained_for_it(partial):
    study, planned = partial
    assert not {"train", "train_trunk", "extract_features", "nc_metrics"} & planned.keys()
    assert planned["page"] == 1
    assert not [*study.results.glob("runs/small/FL/width0.5/epochs7/seed1/*")]


def test_the_tables_have_the_whole_grid_that_is_left(partial):
    study, _ = partial
    runs = pd.read_csv(study.results / "tables/small.partial/runs.csv")
    assert 2 <= len(runs) <= 6
    assert len(runs) == runs["loss"].nunique() * runs["width"].nunique() * runs["epochs"].nunique()
    assert len([*study.results.glob("figures/small.partial/*.pdf")]) == 11


def test_the_page_names_what_is_missing(partial):
    study, _ = partial
    page = (study.results / "studies/small.partial/report.html").read_text()
    assert "1 of 8 runs missing: FL width 0.5 epochs 7 seed 1; " in page


def test_nothing_is_decided_that_needs_it(partial):
    study, _ = partial
    claims = pd.read_csv(study.results / "studies/small.partial/claims.csv")
    touched = claims[(claims["experiment"] == "small") & (claims["subject"].isin(["FL", "all losses"]))]
    assert len(touched)
    assert set(touched["verdict"]) == {"not decided"}
    assert touched["numbers"].str.contains("1 of 8 runs missing").all()
    theory = claims["experiment"] == "theory"
    whole = pd.read_csv(study.results / "studies/small/claims.csv")
    pd.testing.assert_frame_equal(claims[theory], whole[whole["experiment"] == "theory"], check_names=False)


def test_what_is_made_is_not_made_again(partial):
    study, _ = partial
    assert study.planned("partial") == {}
