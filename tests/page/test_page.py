"""The page for readers: what is on it, and what it does with files that it cannot use."""

from __future__ import annotations

import base64
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from equal_losses.running.errors import InputError
from equal_losses.statistics import tables

from .pages import COMMAND, Page, toy_page

SIGNS = {"supported": "✓", "not supported": "✗", "not decided": "?"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Page:
    """A page that is written. Tests leave it as they found it."""
    return toy_page(tmp_path_factory.mktemp("page"))


@pytest.fixture
def unfinished(tmp_path) -> Page:
    """A page of which a test may change a part."""
    return toy_page(tmp_path, kinds=())


class Parsed(HTMLParser):
    """Tags with their attributes, the cells of every table by its name, and the text of every piece of code."""

    def __init__(self, page: Page):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.code: list[str] = []
        self._text: list[str] = []
        self.feed(page.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "table":
            self._rows = self.tables[dict(attributes)["id"]] = []
        elif tag == "tr":
            self._rows.append([])
        if tag in ("th", "td", "code"):
            self._text = []

    def handle_data(self, data):
        self._text.append(data)

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self._rows[-1].append(" ".join("".join(self._text).split()))
        elif tag == "code":
            self.code.append("".join(self._text))


@pytest.fixture(scope="module")
def parsed(finished) -> Parsed:
    return Parsed(finished)


def test_the_page_loads_nothing(parsed):
    assert not {"iframe", "object", "embed"} & {tag for tag, _ in parsed.tags}
    loaded = [attributes["src"] for _, attributes in parsed.tags if "src" in attributes]
    loaded += [attributes["href"] for tag, attributes in parsed.tags if tag == "link"]
    assert loaded
    assert all(address.startswith("data:") for address in loaded)


def test_every_figure_is_shown(finished, parsed):
    shown = [attributes["id"] for tag, attributes in parsed.tags if tag == "figure"]
    assert shown == [
        "figure-toy-alignment_cka",
        "figure-toy-nc_evolution",
        "figure-toy-test_accuracy",
        "figure-theory-descent",
    ]


def test_a_figure_is_there_for_print(finished, parsed):
    (link,) = [attributes for _, attributes in parsed.tags if attributes.get("download") == "nc_evolution.pdf"]
    path = Path(finished.figures[0]["path"]).with_suffix(".pdf")
    assert content(link["href"]) == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "table"),
    [("pairs-toy", "equivalence"), ("correlations-toy", "correlation"), ("largest-toy", "runs"), ("runs-toy", "runs")],
)
def test_a_table_comes_as_csv_with_every_digit_and_column(finished, parsed, name, table):
    (link,) = [attributes for _, attributes in parsed.tags if attributes.get("download") == f"{name}.csv"]
    assert content(link["href"]) == Path(finished.arguments["sections"][0]["paths"][table]).read_bytes()


def test_the_ledger_comes_as_csv(finished, parsed):
    (link,) = [attributes for _, attributes in parsed.tags if attributes.get("download") == "claims.csv"]
    assert content(link["href"]) == Path(finished.arguments["claims"]).read_bytes()


def content(uri: str) -> bytes:
    return base64.b64decode(uri.partition(";base64,")[2])


def test_captions_keep_their_markup(finished):
    page = finished.path.read_text(encoding="utf-8")
    assert "<strong>Computed.</strong> Gradient descent" in page
    assert 'alt="Computed. Gradient descent from one random start for all losses."' in page


def test_the_table_of_verdicts_is_the_ledger(finished, parsed):
    ledger = pd.read_csv(finished.arguments["claims"], dtype={"seeds": float})
    head, *rows = parsed.tables["ledger"]
    assert head == ["claim", "about", "verdict", "numbers"]
    for shown, row in zip(rows, ledger.itertuples(index=False), strict=True):
        where = row.experiment if pd.isna(row.seeds) else f"{row.experiment}, {row.seeds:.0f} seeds"
        expected = [f"{row.claim} {row.source}", f"{row.subject} {where}", f"{SIGNS[row.verdict]} {row.verdict}"]
        assert shown == [*expected, row.numbers]


def test_every_rule_is_on_the_page_once(finished):
    page = finished.path.read_text(encoding="utf-8")
    for rule in finished.ledger["rule"].unique():
        assert page.count(f"<dd>{rule}</dd>") == 1


def test_the_page_begins_with_the_answer(finished):
    page = finished.path.read_text(encoding="utf-8")
    sentence = re.search(r'<p class="sentence">(.*?)</p>', page)[1]
    assert sentence.startswith("On 24 images of digits: ")
    assert sentence.count(";") == 2
    assert page.index(sentence) < page.index('<h2 id="experiment-toy"')


def test_what_was_run_on_what_is_said(finished):
    page = finished.path.read_text(encoding="utf-8")
    for words in ("CPU, 1 thread", "1.00 hours", "24 for training, 8 for validation, 8 for test", "6 × 8 pixels, grey"):
        assert f"<dd>{words}" in page
    for name in ("night", "day"):
        assert f'alt="8 training images of class {name}"' in page


def test_the_numbers_of_the_largest_configuration_are_those_of_the_table(finished, parsed):
    runs = finished.table("runs")
    largest = runs[(runs["width"] == 1) & (runs["epochs"] == 8)].groupby("loss").mean(numeric_only=True)
    assert parsed.tables["largest-toy"][1:] == [
        [loss, f"{row.final_accuracy_train:.2%}", f"{row.accuracy_test:.2%}"]
        + [f"{row[name]:.4f}" for name in ("nc1", "nc2", "nc3", "nc2_centered", "nc3_centered")]
        for loss, row in largest.iterrows()
    ]


def test_every_pair_of_losses_is_shown_at_every_width_and_budget(parsed):
    assert [row[:4] for row in parsed.tables["pairs-toy"][1:]] == [
        ["CE − MSE", width, epochs, "-0.80"] for width in ("0.5", "1") for epochs in ("4", "8")
    ]


def test_the_commands_that_run_it_again_are_what_snakemake_takes_them_for(finished, parsed):
    from snakemake.cli import get_argument_parser

    commands = [line for code in parsed.code for line in code.splitlines() if line.startswith(COMMAND)]
    said = [get_argument_parser().parse_args(shlex.split(line, comments=True)[1:]) for line in commands]
    assert all([Path(file).name for file in command.configfile] == ["study.yaml"] for command in said)
    targets = [target for command in said for target in command.targets]
    assert set(targets) == {"theory", str(finished.path), *(figure["path"] for figure in finished.figures)}
    (report,) = [command.report for command in said if command.report]
    assert report == Path("report.zip")


def test_what_looks_like_html_is_shown_as_it_is(unfinished):
    ledger = unfinished.ledger
    ledger["numbers"] = "<script>alert('1 < 2')</script>"
    tables.write(unfinished.arguments["claims"], ledger)
    page = unfinished.write()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_numbers_of_the_charts_cannot_end_their_script(unfinished):
    for name in ("runs", "trajectories"):
        table = unfinished.table(name)
        tables.write(unfinished.arguments["sections"][0]["paths"][name], table.replace("CE", "</script><b>"))
    page = unfinished.write()
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(data)["toy"]["losses"][0]["name"] == "</script><b>"
    assert page.count("</script><b>") == 0


def test_an_experiment_without_figures_has_a_page_too(unfinished):
    assert "test accuracy" in unfinished.write()


@pytest.mark.parametrize("name", ["runs", "trajectories", "equivalence", "correlation", "claims"])
def test_a_table_that_is_cut_off_is_an_error_that_names_it(unfinished, name):
    path = unfinished.path.parent / ("claims.csv" if name == "claims" else f"tables/{name}.csv")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"{re.escape(str(path))}: cut off in row "):
        unfinished.write()


def test_a_table_of_something_else_is_an_error_that_names_what_is_missing(unfinished):
    path = unfinished.path.parent / "tables" / "runs.csv"
    tables.write(path, unfinished.table("equivalence"))
    with pytest.raises(InputError, match=r"runs.csv: no column dataset, network, loss, seed, accuracy_test"):
        unfinished.write()


def test_a_page_that_cannot_be_written_leaves_the_old_one(unfinished):
    before = unfinished.path.read_bytes()
    unfinished.arguments["theory"][0]["path"] = "missing.png"
    with pytest.raises(FileNotFoundError):
        unfinished.write()
    assert unfinished.path.read_bytes() == before
