"""The page of a finished study: what the workflow puts on it."""

from __future__ import annotations

import base64
import html
import re

import pandas as pd

from tests.conftest import Workflow, said_to_snakemake


def page(finished: Workflow) -> str:
    return (finished.results / "studies/small/report.html").read_text()


def test_every_figure_of_the_study_and_of_the_theory_is_shown(finished):
    shown = set(re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page(finished)))
    figures = [
        *finished.results.glob("figures/small/*.png"),
        *finished.results.glob("studies/small/theory/figures/*.png"),
    ]
    assert len(figures) == 11 + 8
    assert {base64.b64encode(path.read_bytes()).decode() for path in figures} <= shown


def test_the_page_is_light_and_has_the_images_of_the_study(finished):
    assert len(page(finished).encode()) < 5e6
    assert "On 538 images of digits: " in page(finished)
    assert 'alt="8 training images of class 9"' in page(finished)


def test_the_study_is_among_those_that_are_compared(finished):
    assert '<a href="small/report.html">small</a>' in (finished.results / "studies/index.html").read_text()


def test_every_verdict_of_the_ledger_is_on_the_page(finished):
    claims = pd.read_csv(finished.results / "studies/small/claims.csv")
    assert page(finished).count('<td data-label="verdict">') == len(claims)
    for claim in claims["claim"]:
        assert html.escape(claim) in page(finished)


def test_the_commands_on_the_page_are_what_snakemake_takes_them_for(finished):
    commands = re.findall(r"(snakemake --configfile [^<\n]*)", page(finished))
    assert commands
    for command in commands:
        said = said_to_snakemake(command)
        assert [file.name for file in said.configfile] == ["study.yaml"]
        for target in said.targets:
            assert target in ("theory", "claims", "page") or (finished.directory / target).exists()


def test_snakemakes_own_report_can_be_made_of_it(study):
    study.run("--report", "report.zip")
    assert (study.directory / "report.zip").stat().st_size > 100_000
