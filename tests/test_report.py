"""The page for readers, in a real browser: Debian's Chromium without a head, and without a network."""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from .conftest import Workflow, said_to_snakemake

BROWSER, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Whatever the page would load from elsewhere fails, here as for a reader on a train.
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
SIGNS = {"supported": "✓", "not supported": "✗", "not decided": "?"}
PHONE, DESK = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not (shutil.which(BROWSER) and shutil.which(DRIVER)):
        if os.environ.get("NEURAL_COLLAPSE_REQUIRE_ALL"):
            pytest.fail("Chromium is missing: apt-get install chromium chromium-driver")
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def reported(finished) -> Workflow:
    """The finished small study with its report."""
    finished.run("report")
    return finished


@pytest.fixture
def page(browser, reported):
    """The report, open in the browser from the disk."""
    _open(browser, reported.directory / "results" / "report.html", DESK)
    return browser


def _open(browser, path: Path, size: tuple[int, int]) -> None:
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get_log("browser")  # forgets what was there before
    browser.get(path.as_uri())


def elements(driver, selector: str) -> list:
    return driver.find_elements("css selector", selector)


def test_the_report_is_a_target_and_a_second_call_has_nothing_to_do(reported):
    assert reported.planned("report") == {}
    assert reported.planned() == {}


def test_every_figure_of_the_study_and_of_the_theory_is_shown(page, reported):
    figures = reported.directory / "results" / "figures" / "small"
    theory = reported.directory / "results" / "theory" / "figures"
    expected = {f"figure-small-{path.stem}" for path in figures.glob("*.png")}
    expected |= {f"figure-figures-{path.stem}" for path in theory.glob("*.png")}
    assert {figure.get_attribute("id") for figure in elements(page, "figure")} == expected
    images = elements(page, "figure img")
    assert len(images) == len(expected) > 15
    for image in images:
        assert page.execute_script("return arguments[0].complete && arguments[0].naturalWidth", image) > 300
        assert len(image.get_attribute("alt")) > 30


def test_every_link_leads_somewhere(page):
    links = [link.get_attribute("href") for link in elements(page, "a")]
    inside = [link.partition("#")[2] for link in links if link.startswith("file:")]
    assert inside
    for target in inside:
        assert elements(page, f'[id="{target}"]'), target
    outside = [link for link in links if not link.startswith("file:")]
    assert outside == ["https://arxiv.org/abs/2210.02192"]


def test_the_commands_that_run_it_again_are_what_snakemake_takes_them_for(page, reported):
    lines = page.find_element("css selector", "pre code").get_attribute("textContent").splitlines()
    figures = [code.get_attribute("textContent") for code in elements(page, ".rerun code")]
    assert len(figures) == len(elements(page, "figure"))
    targets = []
    for command in [*lines, *figures]:
        said = said_to_snakemake(command)
        assert [Path(file).name for file in said.configfile] == ["study.yaml"]
        targets += [target for target in said.targets if target not in ("report", "theory")]
    assert all((reported.directory / target).exists() for target in targets)
    assert len(targets) == len(figures) + 1


def test_the_browser_has_nothing_to_complain_about_and_nothing_to_load(page):
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
    loaded = page.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []


def test_the_table_of_verdicts_is_the_ledger(page, reported):
    ledger = pd.read_csv(reported.directory / "results" / "claims.csv", dtype=str).fillna("")
    head = [cell.text for cell in elements(page, "#ledger thead th")]
    assert head == list(ledger.columns)
    rows = page.execute_script(
        "return [...document.querySelectorAll('#ledger tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.innerText))"
    )
    assert len(rows) == len(ledger) > 10
    for shown, row in zip(rows, ledger.itertuples(index=False), strict=True):
        expected = [
            f"{SIGNS[row.verdict]} {row.verdict}" if name == "verdict" else value
            for name, value in row._asdict().items()
        ]
        assert [" ".join(cell.split()) for cell in shown] == [" ".join(cell.split()) for cell in expected]


def test_the_answers_are_those_of_the_ledger(page, reported):
    ledger = pd.read_csv(reported.directory / "results" / "claims.csv")
    for card, name in zip(
        elements(page, ".answers > li"), ("neural_collapse", "equal_features", "equal_accuracy"), strict=True
    ):
        rows = ledger[ledger["name"] == name]
        assert [item.text for item in card.find_elements("css selector", ".verdict")] == [
            f"{SIGNS[verdict]} {verdict}" for verdict in rows["verdict"]
        ]
        for numbers in rows["numbers"]:
            assert " ".join(numbers.split()) in " ".join(card.text.split())


def test_a_phone_scrolls_up_and_down_only(browser, reported):
    _open(browser, reported.directory / "results" / "report.html", PHONE)
    assert browser.execute_script("return document.documentElement.scrollWidth") == PHONE[0]
    # What is wider than the phone scrolls in a region of its own.
    for region in elements(browser, ".scroll"):
        assert browser.execute_script("return arguments[0].getBoundingClientRect().right", region) <= PHONE[0]


def test_a_keyboard_reaches_what_scrolls_and_a_screen_reader_can_name_it(page):
    from selenium.webdriver.common.keys import Keys

    page.find_element("css selector", "body").send_keys(Keys.TAB)
    assert page.switch_to.active_element.get_attribute("href").endswith("#answer")
    for region in elements(page, ".scroll"):
        assert region.get_attribute("tabindex") == "0"
        assert region.aria_role == "region"
        assert region.accessible_name
    for table in elements(page, "table"):
        assert table.accessible_name, "a caption"
        assert table.find_elements("css selector", "th[scope=col]")
    levels = [int(heading.tag_name[1]) for heading in elements(page, "h1, h2, h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert elements(page, "html[lang=en]")


def test_verdicts_are_told_apart_without_colour(page):
    """By a word, a sign and the border, and with enough contrast."""
    for verdict in elements(page, ".verdict"):
        ink, paper = (_luminance(verdict.value_of_css_property(name)) for name in ("color", "background-color"))
        assert (paper + 0.05) / (ink + 0.05) >= 4.5
        assert verdict.text.split()[0] in "✓✗?"


def _luminance(color: str) -> float:
    """Relative luminance of a CSS colour (WCAG 2)."""
    channels = [float(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_numbers_of_the_largest_configuration_are_those_of_the_table(page, reported):
    runs = pd.read_csv(reported.directory / "results" / "tables" / "small" / "runs.csv")
    largest = runs[(runs["width"] == 0.5) & (runs["epochs"] == 7)].set_index("loss")
    rows = [
        [cell.text for cell in row.find_elements("css selector", "th, td")]
        for row in elements(page, "#largest-small tbody tr")
    ]
    assert rows == [
        [loss, f"{row.final_accuracy_train:.2%}", f"{row.accuracy_test:.2%}"]
        + [f"{row[name]:.4f}" for name in ("nc1", "nc2", "nc3", "nc2_centered", "nc3_centered")]
        for loss, row in largest.iterrows()
    ]


def test_snakemakes_own_report_is_in_it_with_categories_labels_and_captions(page):
    page.switch_to.frame(page.find_element("css selector", "iframe"))
    menu = page.find_element("css selector", "nav, #navbar, body").text
    for category in ("Claims", "Figures", "Runs", "Tables", "Theory", "Statistics"):
        assert category in menu
    _click(page, "Runs", until="LOSS WIDTH EPOCHS SEED")
    _click(page, "Results", until="GENERAL")
    _click(page, "Figures", until="test_accuracy")
    view, about = elements(page, "td a")[:2]  # of the first figure
    view.click()
    _wait(page, lambda driver: any(driver.execute_script(_IS_DRAWN, image) for image in elements(driver, "img")))
    about.click()
    _wait(page, lambda driver: "Fig. 2 of the paper" in driver.find_element("css selector", "body").text)
    page.switch_to.default_content()
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


_IS_DRAWN = "return arguments[0].complete && arguments[0].naturalWidth > 300"


def _click(driver, link: str, *, until: str) -> None:
    next(item for item in elements(driver, "a") if item.text.strip() == link).click()
    _wait(driver, lambda _: until in driver.find_element("css selector", "body").text)


def _wait(driver, condition) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 20).until(condition)


def test_the_page_alone_is_a_target_too_and_smaller(reported):
    reported.run("results/report/page.html")
    page, report = (reported.directory / "results" / name for name in ("report/page.html", "report.html"))
    assert "<iframe" not in page.read_text()
    assert page.stat().st_size < report.stat().st_size / 2
