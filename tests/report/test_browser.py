"""The page in a real browser: CANDOR_CHROMIUM names it, or it is found on PATH."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from synthetic_run import NASTY

pytestmark = pytest.mark.slow

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = os.environ.get("CANDOR_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium: set CANDOR_CHROMIUM to one, or put it on PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def open_page(browser, run: Path):
    contexts = []

    def opened(width: int, height: int, scheme: str = "light"):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.problems = []
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on(
            "request", lambda r: None if r.url.startswith(("file:", "data:")) else page.problems.append(r.url)
        )
        page.goto((run / "report.html").as_uri())
        page.wait_for_selector("#rows tr")
        return page

    yield opened
    for context in contexts:
        context.close()


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


def test_text_is_readable_in_light_and_dark(open_page):
    contrast = """() => {
      const light = (color) => {
        const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((v) => {
          const c = v / 255;
          return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const behind = (node) => {
        for (let at = node; at; at = at.parentElement) {
          const color = getComputedStyle(at).backgroundColor;
          if (!/, 0\\)$|transparent/.test(color)) return color;
        }
        return 'rgb(255, 255, 255)';
      };
      const poor = [];
      const texts = 'p, dt, dd, td, th, h1, h2, h3, a, .badge, .of, button, label, text.small';
      for (const node of document.querySelectorAll(texts)) {
        if (!node.getClientRects().length) continue;
        const style = getComputedStyle(node);
        const color = node.tagName === 'text' ? style.fill : style.color;
        const [a, b] = [light(color), light(behind(node))].sort((x, y) => y - x);
        if ((a + 0.05) / (b + 0.05) < 4.5 && !node.disabled) poor.push([node.tagName, node.className, color]);
      }
      return poor;
    }"""
    for scheme in ("light", "dark"):
        assert open_page(1280, 900, scheme).evaluate(contrast) == []


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
