"""The run browser in a real browser: CANDOR_CHROMIUM names it, or it is found on PATH."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from live import Serving
from run_folders import HOSTILE, showing, write_run

from candor.core.lock import hold

pytestmark = pytest.mark.slow

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PAGES = (
    "/runs",
    "/runs/run?run=first",
    "/runs/compare?run=first&run=second",
    "/runs/samples?run=first&file=samples.jsonl",
    "/runs/run?run=none",
)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    root = tmp_path_factory.mktemp("runs")
    first = write_run(root / "first", model="a-very-long-name/" + "of-a-model-" * 12)
    rows = [{"question": HOSTILE, "completion": "word " * 200, "reward": row} for row in range(30)]
    (first / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_run(root / "second", accuracy=0.3, seed=2)
    write_run(root / "questions", kind="knowledge", accuracy=None)
    with showing(root) as serving:
        yield serving


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = os.environ.get("CANDOR_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    assert path is not None, "no Chromium: set CANDOR_CHROMIUM to one, or put it on PATH"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    contexts = []

    def opened(url: str, width: int = 1280, height: int = 900, scheme: str = "light", **context: Any) -> Any:
        made = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **context
        )
        contexts.append(made)
        page = made.new_page()
        page.problems = []
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()


def until(page: Any, expression: str) -> None:
    """Wait until an expression is true. Playwright's own way of waiting is against the page's policy."""
    end = time.monotonic() + 30
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


CONTRAST = """() => {
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
  return [...document.querySelectorAll('p, dt, dd, td, th, h1, h2, h3, a, span, button, label, summary')]
    .filter((node) => node.getClientRects().length).filter((node) => {
      const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
      return (a + 0.05) / (b + 0.05) < 4.5;
    }).map((node) => [node.tagName, node.className, node.textContent.slice(0, 40)]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_pages_fit_are_readable_and_named(
    shown: Serving, opened: Callable[..., Any], width: int, scheme: str
) -> None:
    for path in PAGES:
        page = opened(shown.url + path, width, 800, scheme)
        page.evaluate("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(CONTRAST) == [], path
        assert page.locator("h1").count() == 1
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map((h) => +h.tagName[1])")
        assert all(after - before <= 1 for before, after in pairwise(levels)), path
        unnamed = page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]),select')]"
            ".filter((field) => !field.labels.length && !field.ariaLabel).length"
        )
        assert unnamed == 0, path
        assert page.evaluate("window.broken") is None
        assert [problem for problem in page.problems if "404" not in problem] == [], path


def test_two_runs_are_picked_with_the_keyboard_and_compared(
    shown: Serving, opened: Callable[..., Any]
) -> None:
    page = opened(f"{shown.url}/runs")
    for name in ("first", "second"):
        page.get_by_label(f"Compare {name}").focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="Compare the two").focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "beside" in page.title()
    assert page.get_by_text("beyond both intervals,").count() >= 1
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.problems == []


def test_a_growing_run_is_followed_without_reloading(tmp_path: Path, opened: Callable[..., Any]) -> None:
    folder = write_run(
        tmp_path / "grows", accuracy=None, events=[{"event": "stage started", "stage": "learn"}]
    )
    lock = hold(folder)
    with showing(tmp_path) as live:
        page = opened(f"{live.url}/runs/run?run=grows")
        assert page.locator("#state").inner_text() == "under way: learn"
        assert page.locator("svg.plot").count() == 0
        page.evaluate("window.same = true")
        with (folder / "events.jsonl").open("a") as file:
            for step in range(1, 6):
                file.write(
                    json.dumps({"event": "step", "step": step, "loss": 1 / step, HOSTILE: step}) + "\n"
                )
        until(page, "document.querySelectorAll('svg.plot').length === 4")
        lock.close()
        until(page, "document.querySelector('#state').textContent === 'killed in learn'")
        assert page.locator("#followed").inner_text() == "killed in learn"
        assert page.evaluate("window.same")
        assert page.evaluate("window.broken") is None
        assert page.problems == []


def test_a_report_opens_in_a_sandbox_with_its_own_script_only(
    shown: Serving, opened: Callable[..., Any]
) -> None:
    page = opened(f"{shown.url}/runs/report?run=questions")
    assert page.evaluate("window.origin") == "null"
    assert page.locator("h1").count() == 1
    assert page.problems == []
    plain = opened(f"{shown.url}/runs/report?run=first")
    assert "80% of completions" in plain.locator("h1").inner_text()
    assert plain.problems == []
