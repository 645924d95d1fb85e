"""The page for readers in a real browser: Debian's Chromium, headless and without a network.

At the width of a desk and of a phone, on light and dark screens, on paper, with scripts and without.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from .pages import Page, toy_page

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
        if os.environ.get("EQUAL_LOSSES_REQUIRE_ALL"):
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
def finished(tmp_path_factory) -> Page:
    """A page of a small experiment."""
    return toy_page(tmp_path_factory.mktemp("page"))


@pytest.fixture
def page(browser, finished):
    """The page, open in the browser from the disk."""
    show(browser, finished, DESK)
    return browser


def show(browser, page: Page, size: tuple[int, int], place: str = "", scripts: bool = True) -> None:
    """Open the page, at a place of its address, and wait for its charts."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
    browser.get("about:blank")  # an address that differs in its place alone would not be opened anew
    browser.get_log("browser")  # forgets what was there before
    browser.get(page.path.as_uri() + place)
    if scripts:
        until(browser, lambda: len(elements(browser, ".view svg")) == 2)


@contextmanager
def media(browser, **features: str):
    """The page on paper (`media`), or on a screen with features."""
    names = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items() if name != "media"]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": features.get("media", ""), "features": names})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def until(browser, happens) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 30).until(lambda _: happens())


def click(browser, selector: str) -> None:
    """Click what is found first, wherever it is on the page."""
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", elements(browser, selector)[0])
    elements(browser, selector)[0].click()


def elements(driver, selector: str) -> list:
    return driver.find_elements("css selector", selector)


def test_every_image_is_drawn_and_has_words_for_those_who_do_not_see_it(page, finished):
    images = elements(page, "figure img")
    assert len(images) == len(finished.figures)
    for image in [*images, *elements(page, ".sample img")]:
        assert page.execute_script("return arguments[0].complete && arguments[0].naturalWidth", image) > 50
        assert len(image.get_attribute("alt")) > 20


def test_every_link_leads_somewhere(page):
    links = [link.get_attribute("href") for link in elements(page, "a")]
    inside = [link.partition("#")[2] for link in links if link.startswith("file:")]
    assert inside
    for target in inside:
        assert elements(page, f'[id="{target}"]'), target
    outside = [link for link in links if not link.startswith(("file:", "data:"))]
    assert outside == ["https://arxiv.org/abs/2210.02192"]


def test_the_browser_has_nothing_to_complain_about_and_nothing_to_load(page):
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
    loaded = page.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []


def test_the_answers_are_those_of_the_ledger(page, finished):
    ledger = finished.ledger
    for card, name in zip(
        elements(page, ".answers > li"), ("collapse", "equal_features", "equal_accuracy"), strict=True
    ):
        rows = ledger[ledger["name"] == name]
        assert len(card.find_elements("css selector", ".short")) == 1, "answered once"
        assert not any(numbers in card.text for numbers in rows["numbers"]), "folded away"
        card.find_element("css selector", "summary").click()
        assert [item.text for item in card.find_elements("css selector", ".verdict")] == [
            f"{SIGNS[verdict]} {verdict}" for verdict in rows["verdict"]
        ]
        for numbers in rows["numbers"]:
            assert " ".join(numbers.split()) in " ".join(card.text.split())


@pytest.mark.parametrize("scripts", [True, False])
def test_a_phone_scrolls_up_and_down_only(browser, finished, scripts):
    show(browser, finished, PHONE, scripts=scripts)
    assert browser.execute_script("return document.documentElement.scrollWidth") == PHONE[0]
    # What is wider than the phone scrolls in a region of its own.
    for region in elements(browser, ".scroll"):
        assert browser.execute_script("return arguments[0].getBoundingClientRect().right", region) <= PHONE[0]


def test_a_keyboard_reaches_what_scrolls_and_a_screen_reader_can_name_it(page):
    from selenium.webdriver.common.keys import Keys

    page.find_element("css selector", "body").send_keys(Keys.TAB)
    assert page.switch_to.active_element.get_attribute("href").endswith("#answer")
    page.execute_script("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
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
    for scheme in ("light", "dark"):
        with media(page, prefers_color_scheme=scheme):
            for verdict in elements(page, "#ledger .verdict"):
                assert contrast(verdict) >= 4.5
                assert verdict.text.split()[0] in "✓✗?"


def test_a_dark_screen_has_a_dark_page_with_charts_and_enough_contrast(page):
    light = page.execute_script("return document.querySelector('.view svg').outerHTML")
    with media(page, prefers_color_scheme="dark"):
        assert luminance(elements(page, "body")[0].value_of_css_property("background-color")) < 0.02
        until(page, lambda: (svg := elements(page, ".view svg")) and svg[0].get_attribute("outerHTML") != light)
        (chart, _) = elements(page, ".view svg")
        assert luminance(chart.value_of_css_property("background-color")) < 0.02
        assert "#e6e7e9" in chart.get_attribute("outerHTML"), "the ink of the dark page"
        for selector in ("p", "a", "dt", "caption", "h2", ".hint"):
            ink = luminance(elements(page, f"main {selector}")[0].value_of_css_property("color"))
            assert (ink + 0.05) / (luminance("rgb(21, 23, 26)") + 0.05) >= 4.5, selector


def test_without_scripts_the_figures_are_there_and_nothing_that_would_do_nothing(browser, finished):
    show(browser, finished, DESK, scripts=False)
    assert all(image.is_displayed() for image in elements(browser, "figure img"))
    assert not any(element.is_displayed() for element in elements(browser, "select, button, input"))


def test_with_scripts_the_figures_that_the_charts_show_are_folded_away(page):
    shown = [image.is_displayed() for image in elements(page, "figure img")]
    assert shown == [True, False, False, True]


@pytest.mark.parametrize("scripts", [True, False])
def test_on_paper_everything_is_whole(browser, finished, scripts):
    show(browser, finished, (700, 1000), scripts=scripts)
    with media(browser, media="print", prefers_color_scheme="dark"):
        assert luminance(elements(browser, "body")[0].value_of_css_property("background-color")) == 1
        heights = "return arguments[0].getBoundingClientRect().height"
        for selector in ("figure img", "#runs-toy tr", ".answers .rule", "#ledger tr"):
            assert all(browser.execute_script(heights, found) > 5 for found in elements(browser, selector)), selector
        assert not any(element.is_displayed() for element in elements(browser, ".charts, .tools, nav"))
        assert browser.execute_script("return document.querySelector('#ledger').getBoundingClientRect().right") <= 700
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 700
        for selector in ("figure", "#ledger tr"):
            assert elements(browser, selector)[1].value_of_css_property("break-inside") == "avoid"


def test_pointing_at_a_chart_says_the_values(page):
    from selenium.webdriver.common.action_chains import ActionChains

    for chart, words in (("trajectories", ["epoch", "CE", "MSE"]), ("heatmap", ["loss", "width", "mean"])):
        (svg,) = elements(page, f"#toy-{chart} + .view svg")
        page.execute_script("arguments[0].scrollIntoView({block: 'center'})", svg)
        mark = svg.find_elements("css selector", ".mark-rect path")[1]
        ActionChains(page).move_to_element(mark).perform()
        tip = elements(page, "#vg-tooltip-element.visible td.key")
        assert set(words) <= {name.text for name in tip}


def test_what_is_chosen_is_drawn(page):
    from selenium.webdriver.support.select import Select

    def lines() -> int:
        return len(elements(page, "#toy-trajectories + .view .mark-line path"))

    assert lines() == 2  # of the largest configuration
    click(page, "#toy-trajectories [name=widths][value='0.5']")
    until(page, lambda: lines() == 4)
    click(page, "#toy-trajectories [name=losses][value=CE]")
    until(page, lambda: lines() == 2)
    Select(elements(page, "#toy-trajectories [name=lines]")[0]).select_by_value("seeds")
    until(page, lambda: lines() == 4)
    Select(elements(page, "#toy-trajectories [name=metric]")[0]).select_by_value("accuracy_test")
    until(page, lambda: "test accuracy" in elements(page, "#toy-trajectories + .view svg")[0].text)
    for box in elements(page, "#toy-trajectories [name=seeds]"):
        box.click()
    until(page, lambda: "Nothing is chosen." in elements(page, "#toy-trajectories + .view")[0].text)


def test_every_value_can_be_drawn_on_every_axis(page):
    from selenium.webdriver.support.select import Select

    for chart in ("trajectories", "heatmap"):
        for axis in ("linear", "log"):
            Select(elements(page, f"#toy-{chart} [name=y]")[0]).select_by_value(axis)
            metric = Select(elements(page, f"#toy-{chart} [name=metric]")[0])
            for option in metric.options:
                metric.select_by_visible_text(option.text)
                until(page, lambda: option.text in elements(page, f"#toy-{chart} + .view")[0].text)  # noqa: B023
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_address_brings_back_what_is_shown(browser, page, finished):
    from selenium.webdriver.support.select import Select

    Select(elements(page, "#toy-heatmap [name=metric]")[0]).select_by_value("nc2")
    click(page, "#toy-trajectories [name=losses][value=CE]")
    click(page, "#toy-trajectories + .view [aria-label='Zoom in']")
    click(page, "#pairs-toy thead th:nth-child(3) button")
    click(page, "#pairs-toy thead th:nth-child(3) button")
    elements(page, "#pairs-toy-table input")[0].send_keys("0.5")
    click(page, "#every-run-toy summary")
    until(page, lambda: "every-run-toy" in page.execute_script("return location.hash"))
    click(page, "a[href='#theory']")
    # The browser writes the link's place at once, the page adds what is shown a moment later.
    until(page, lambda: page.execute_script("return location.hash").startswith("#theory?"))
    place = page.execute_script("return location.hash")

    show(browser, finished, DESK, place)
    until(browser, lambda: browser.execute_script("return scrollY") > 1000)
    assert elements(browser, "#toy-heatmap [name=metric]")[0].get_attribute("value") == "nc2"
    assert not elements(browser, "#toy-trajectories [name=losses][value=CE]")[0].is_selected()
    assert elements(browser, "#toy-trajectories [name='zoom-x']")[0].get_attribute("value") == "[1.2,6.8]"
    assert cells(browser, "#pairs-toy", 3) == ["8", "4"]
    assert elements(browser, "#every-run-toy")[0].get_attribute("open")
    assert browser.execute_script("return location.hash") == place


def test_a_table_sorts_and_filters(page):
    assert cells(page, "#runs-toy", 2) == []  # folded away
    click(page, "#every-run-toy summary")
    assert cells(page, "#runs-toy", 2)[:3] == ["0.5", "0.5", "0.5"]
    head = "#runs-toy thead th:nth-child(6)"
    click(page, f"{head} button")
    assert elements(page, head)[0].get_attribute("aria-sort") == "ascending"
    values = [float(value.rstrip("%")) for value in cells(page, "#runs-toy", 6)]
    assert values == sorted(values)
    click(page, f"{head} button")
    assert [float(value.rstrip("%")) for value in cells(page, "#runs-toy", 6)] == values[::-1]
    elements(page, "#runs-toy-table input")[0].send_keys("mse")
    assert set(cells(page, "#runs-toy", 1)) == {"MSE"}
    assert elements(page, "#runs-toy-table output")[0].text == "8 of 16 rows"


@pytest.mark.parametrize(
    ("selector", "name", "begins"),
    [
        ("#toy-trajectories + .view [aria-label$=PNG]", "toy-trajectories.png", b"\x89PNG"),
        ("#toy-heatmap + .view [aria-label$=SVG]", "toy-heatmap.svg", b"<svg"),
        ("#toy-heatmap + .view [aria-label$=CSV]", "toy-heatmap.csv", b"loss,width,epochs,seed,value\nCE,0.5,4,1,0.8"),
        ("#pairs-toy-table .download", "pairs-toy.csv", b"experiment,width,"),
        ("#figure-toy-alignment_cka .download", "alignment_cka.pdf", b"%PDF"),
        ("#figure-toy-alignment_cka .download + .download", "toy-alignment_cka.png", b"\x89PNG"),
    ],
)
def test_figures_and_tables_are_downloaded(page, tmp_path, selector, name, begins):
    where = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    click(page, selector)
    until(page, (tmp_path / name).exists)
    assert Path(tmp_path / name).read_bytes().startswith(begins)


def cells(driver, table: str, column: int) -> list[str]:
    """A column of a table as it is shown."""
    return [cell.text for cell in elements(driver, f"{table} tbody tr > :nth-child({column})") if cell.is_displayed()]


def contrast(element) -> float:
    """Contrast of an element's ink and paper (WCAG 2)."""
    low, high = sorted(luminance(element.value_of_css_property(name)) for name in ("color", "background-color"))
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    """Relative luminance of a CSS colour (WCAG 2)."""
    channels = [float(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
