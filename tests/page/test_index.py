"""The page that compares the studies."""

from __future__ import annotations

import pandas as pd

from equal_losses.claims.ledger import COLUMNS
from equal_losses.page import page
from equal_losses.statistics import tables

from .pages import TEMPLATES


def study(folder, name: str, verdicts: dict[str, str], claim: str = "All losses collapse.", seeds: float = 3) -> None:
    row = dict.fromkeys(COLUMNS, "") | {"claim": claim, "experiment": name, "seeds": seeds}
    rows = [row | {"subject": loss, "verdict": verdict} for loss, verdict in verdicts.items()]
    rows.append(row | {"claim": "A theorem", "experiment": "theory", "verdict": "supported", "seeds": None})
    tables.write(folder / name / "claims.csv", pd.DataFrame(rows))


def written(folder) -> str:
    page.write_index(folder, templates=TEMPLATES)
    return (folder / "index.html").read_text(encoding="utf-8")


def test_every_study_has_a_column_that_leads_to_its_page(tmp_path):
    study(tmp_path, "demo", {"CE": "supported"})
    study(tmp_path, "fashion", {"CE": "not supported"}, seeds=1)
    text = written(tmp_path)
    assert '<a href="demo/report.html">demo</a><small>3 seeds</small>' in text
    assert '<a href="fashion/report.html">fashion</a><small>1 seed</small>' in text
    assert text.count("✓</span> supported") == text.count("✗</span> not supported") == 1
    assert text.count('<th scope="row">') == 1, "one claim, and no theory"


def test_verdicts_that_differ_name_their_losses(tmp_path):
    study(tmp_path, "demo", {"CE": "supported", "FL": "not decided", "LS": "supported"})
    text = written(tmp_path)
    assert "supported</span> CE, LS</p>" in text
    assert "not decided</span> FL</p>" in text


def test_a_claim_that_a_study_does_not_have_leaves_its_cell_empty(tmp_path):
    study(tmp_path, "demo", {"CE": "supported"})
    study(tmp_path, "old", {"CE": "supported"}, claim="Another claim.")
    assert written(tmp_path).count('<td data-label="old"></td>') == 1


def test_a_ledger_that_cannot_be_read_does_not_count(tmp_path):
    study(tmp_path, "demo", {"CE": "supported"})
    study(tmp_path, "broken", {"CE": "supported"})
    (tmp_path / "broken" / "claims.csv").write_text("cut")
    assert "broken" not in written(tmp_path)


def test_names_are_shown_as_they_are(tmp_path):
    study(tmp_path, "demo", {"<b>": "supported", "FL": "not decided"})
    assert "<b>" not in written(tmp_path)
