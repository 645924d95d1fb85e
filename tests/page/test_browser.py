"""The page for readers in a real browser: Debian's Chromium, headless and without a network."""

from __future__ import annotations

import os
import shutil
from itertools import pairwise

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


def show(browser, page: Page, size: tuple[int, int]) -> None:
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get_log("browser")  # forgets what was there before
    browser.get(page.path.as_uri())


def elements(driver, selector: str) -> list:
    return driver.find_elements("css selector", selector)


def test_every_image_is_drawn_and_has_words_for_those_who_do_not_see_it(page, finished):
    images = elements(page, "figure img")
    assert len(images) == len(finished.figures)
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
        assert [item.text for item in card.find_elements("css selector", ".verdict")] == [
            f"{SIGNS[verdict]} {verdict}" for verdict in rows["verdict"]
        ]
        for numbers in rows["numbers"]:
            assert " ".join(numbers.split()) in " ".join(card.text.split())


def test_a_phone_scrolls_up_and_down_only(browser, finished):
    show(browser, finished, PHONE)
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
        ink, paper = (luminance(verdict.value_of_css_property(name)) for name in ("color", "background-color"))
        assert (paper + 0.05) / (ink + 0.05) >= 4.5
        assert verdict.text.split()[0] in "✓✗?"


def luminance(color: str) -> float:
    """Relative luminance of a CSS colour (WCAG 2)."""
    channels = [float(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
