"""The run browser in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from live import Serving
from run_folders import HOSTILE, showing, write_run

from candor.core.lock import hold
from chromium import hard_to_read, opening, until

pytestmark = pytest.mark.slow

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


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    with opening(browser) as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_pages_fit_are_readable_and_named(
    shown: Serving, opened: Callable[..., Any], width: int, scheme: str
) -> None:
    for path in PAGES:
        page = opened(shown.url + path, width, 800, scheme)
        page.evaluate("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert hard_to_read(page) == [], path
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
