"""The page in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synthetic_run import NASTY

from chromium import hard_to_read, opening

pytestmark = pytest.mark.slow


@pytest.fixture
def open_page(browser, run: Path):
    with opening(browser, lambda asked, _: not asked.startswith(("file:", "data:"))) as opened:

        def report(width: int, height: int, scheme: str = "light") -> Any:
            page = opened((run / "report.html").as_uri(), width, height, scheme)
            page.wait_for_selector("#rows tr")
            return page

        yield report


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(320, 640), (375, 812), (768, 1024), (1280, 900)])
def test_page_fits_its_width_without_errors_or_requests(open_page, width: int, height: int, scheme: str):
    page = open_page(width, height, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.problems == []
    assert page.evaluate("window.broken") is None
    shown = page.evaluate(
        "[...document.querySelectorAll('svg.plot')].filter((s) => s.getClientRects().length).length"
    )
    assert shown == 14


@pytest.mark.parametrize("width", [375, 1280])
def test_no_letter_of_a_plot_is_cut_off(open_page, width: int):
    page = open_page(width, 900)
    cut = page.evaluate(
        """[...document.querySelectorAll('svg.plot')].flatMap((svg) => {
          if (!svg.getClientRects().length) return [];
          const box = svg.getBoundingClientRect();
          return [...svg.querySelectorAll('text')].filter((text) => {
            const inner = text.getBoundingClientRect();
            return inner.left < box.left - 1 || inner.right > box.right + 1 || inner.bottom > box.bottom + 2;
          }).map((text) => text.textContent);
        })"""
    )
    assert cut == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable(open_page, scheme: str):
    assert hard_to_read(open_page(1280, 900, scheme)) == []


def test_table_filters_searches_orders_and_turns_pages(open_page, run: Path):
    page = open_page(1280, 900)
    status = page.locator("#status")
    assert status.inner_text() == "420 of 420 questions"
    assert page.locator("#rows tr").count() == 25
    page.click("#next")
    assert page.locator("#place").inner_text() == "Page 2 of 17"

    page.fill("#f-text", "number 123?")
    assert status.inner_text() == "1 of 420 questions"
    page.fill("#f-text", "no such words anywhere")
    assert status.inner_text() == "No question matches: clear a filter."
    page.fill("#f-text", "")

    page.select_option("#f-pair", "correct|not_attempted")
    shown = int(status.inner_text().split()[0])
    option = page.locator("#f-pair option[value='correct|not_attempted']").inner_text()
    assert f"({shown})" in option
    assert set(page.locator("#rows tr td:nth-child(2) .badge").all_inner_texts()) == {"✓ right"}

    page.click("button[type=reset]")
    page.select_option("#f-order", "down")
    stated = [int(text.rstrip("%")) for text in page.locator("#rows tr td:last-child").all_inner_texts()]
    assert stated == sorted(stated, reverse=True)
    assert page.problems == []


def test_show_all_buttons_filter_the_table(open_page):
    page = open_page(375, 812)
    page.locator("button[data-pair='incorrect|not_attempted']").click()
    page.wait_for_function("document.getElementById('f-pair').value === 'incorrect|not_attempted'")
    total = page.locator("button[data-pair='incorrect|not_attempted']").inner_text().split()[2]
    page.wait_for_function(f"document.getElementById('status').textContent.startsWith('{total} of')")


def test_hostile_answers_are_shown_as_text(open_page):
    page = open_page(1280, 900)
    page.fill("#f-text", "window.broken")
    assert page.locator("#rows tr").count() == 2
    assert page.locator("#rows .said", has_text=NASTY[0]).count() >= 1
    assert page.evaluate("document.scripts.length") == 2
    assert page.evaluate("document.images.length") == 0
    assert page.evaluate("window.broken") is None


def test_paper_gets_the_folded_parts_and_no_controls(open_page):
    page = open_page(1280, 900)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not(.contents):not([open])").count() == 0
    assert not page.locator("form.filters").is_visible()
    assert not page.locator("nav.side").is_visible()
