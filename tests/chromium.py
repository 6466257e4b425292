"""A real browser for tests of pages: CANDOR_CHROMIUM names it, or it is found on PATH."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def started() -> Iterator[Any]:
    """The browser, through Playwright; it ends with the block."""
    path = os.environ.get("CANDOR_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    assert path is not None, "no Chromium: set CANDOR_CHROMIUM to one, or put it on PATH"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


@contextmanager
def opening(browser: Any, foreign: Callable[[str, str], bool] | None = None) -> Iterator[Callable[..., Any]]:
    """Opens pages, each in a context of its own; all are closed with the block.

    A page keeps in `problems` what its console says, its errors, and the addresses that it asks for where
    `foreign(asked for, page's own)` is true.
    """
    contexts = []

    def opened(url: str, width: int = 1280, height: int = 900, scheme: str = "light", **more: Any) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **more
        )
        contexts.append(context)
        page = context.new_page()
        page.problems = []
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        if foreign is not None:
            page.on("request", lambda r: page.problems.append(r.url) if foreign(r.url, url) else None)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()


def until(page: Any, expression: str, arg: Any = None) -> None:
    """Wait until an expression is true. Playwright's own way of waiting is against the pages' policy."""
    end = time.monotonic() + 30
    while not page.evaluate(expression, arg):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def hard_to_read(page: Any) -> list[Any]:
    """Texts whose contrast with what is behind them is under WCAG's 4.5."""
    return page.evaluate(
        """() => {
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
      const texts = 'p, dt, dd, td, th, h1, h2, h3, a, span, .of, button, label, summary, text.small';
      return [...document.querySelectorAll(texts)]
        .filter((node) => node.getClientRects().length && !node.disabled).filter((node) => {
          const style = getComputedStyle(node);
          const color = node.tagName === 'text' ? style.fill : style.color;
          const [a, b] = [light(color), light(behind(node))].sort((x, y) => y - x);
          return (a + 0.05) / (b + 0.05) < 4.5;
        }).map((node) => [node.tagName, node.getAttribute('class'), node.textContent.slice(0, 40)]);
    }"""
    )
