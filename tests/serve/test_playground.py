"""The playground in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from live import Live

from byte_models import byte_engine
from chromium import opening, until


def test_the_page_and_its_parts_are_served_with_a_policy_and_nothing_else_is(server: Live) -> None:
    page = server.http.get("/")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for part in re.findall(r'(?:src|href)="(playground/[^"]+)"', page.text):
        assert server.http.get(f"/{part}").status_code == 200
    script = server.http.get("/playground/app.js")
    for part in re.findall(r'from "\./([^"]+)"', script.text):
        assert server.http.get(f"/playground/{part}").headers["content-type"].startswith("text/javascript")
    for path in (
        "/playground/../guard.py",
        "/playground/%2e%2e/guard.py",
        "/playground/",
        "/playground/x.js",
    ):
        assert server.http.get(path).status_code == 404
    assert "/playground" not in server.http.get("/openapi.json").text


def test_the_page_is_open_where_the_api_wants_a_key() -> None:
    with Live({"tiny": byte_engine()}, api_key="secret") as live:
        assert live.http.get("/").status_code == 200
        assert live.http.get("/v1/models").status_code == 401


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    with opening(browser, lambda asked, page: not asked.startswith((page, "data:"))) as opened:

        def playground(url: str, *size: Any, **more: Any) -> Any:
            page = opened(url, *size, **more)
            until(page, "document.querySelector('#model').options.length > 0")
            return page

        yield playground


def go_on(page: Any, text: str, cell: int = 0) -> Any:
    """Write a text into a cell, have it gone on with, and wait for the end."""
    box = page.locator(".cell").nth(cell)
    box.locator("textarea").fill(text)
    box.locator("textarea").press("Control+Enter")
    until(
        page,
        "n => document.querySelectorAll('.cell')[n].querySelectorAll('.card .end').length > 0"
        " && !document.querySelectorAll('.cell')[n].querySelector('.busy')",
        arg=cell,
    )
    return box


@pytest.mark.slow
def test_a_text_is_gone_on_with_side_by_side_and_shaded(server: Live, opened: Callable[..., Any]) -> None:
    page = opened(server.url)
    page.locator("#s-n").fill("3")
    page.locator("#s-max_tokens").fill("12")
    page.locator("#s-seed").fill("5")
    box = go_on(page, "hello w")
    cards = box.locator(".card")
    assert cards.count() == 3
    expected = server.http.post(
        "/v1/completions",
        json={"prompt": "hello w", "n": 3, "max_tokens": 12, "temperature": 0.8, "seed": 5},
    ).json()["choices"]
    for number, choice in enumerate(expected):
        shown = cards.nth(number).locator(".tok:not(.special)").all_text_contents()
        assert "".join(shown) == choice["text"]
    surprises = (
        cards.nth(0).locator(".tok").evaluate_all("all => all.map(t => +t.style.getPropertyValue('--s'))")
    )
    assert all(0 <= s <= 1 for s in surprises)
    assert len(set(surprises)) > 1
    assert not page.problems


@pytest.mark.slow
def test_alternatives_come_with_the_keyboard_and_branch_off(server: Live, opened: Callable[..., Any]) -> None:
    page = opened(server.url)
    page.locator("#s-n").fill("1")
    page.locator("#s-max_tokens").fill("8")
    box = go_on(page, "hello")
    tokens = box.locator(".tok")
    tokens.nth(0).focus()
    page.keyboard.press("ArrowRight")
    assert tokens.nth(1).evaluate("t => t === document.activeElement")
    page.wait_for_selector("#peek:not([hidden])")
    before = "hello" + tokens.nth(0).text_content()
    choices = page.locator("#peek li button:not(:disabled)")
    assert choices.count() >= 2
    page.keyboard.press("Enter")
    chosen = page.evaluate("document.activeElement.querySelector('code').textContent")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('.cell').length === 2")
    text = page.locator(".cell").nth(1).locator("textarea").input_value()
    plain = chosen.replace("·", " ").replace("⏎", "\n").replace("⇥", "\t")
    # A text field has \n for every end of a line, and the model, drawn at random, may write a \r.
    assert text == (before + plain).replace("\r\n", "\n").replace("\r", "\n")
    page.keyboard.press("Escape")
    assert page.locator("#peek").is_hidden()
    assert not page.problems


@pytest.mark.slow
def test_a_text_can_be_stopped_gone_on_with_kept_and_is_there_after_reloading(
    server: Live, opened: Callable[..., Any]
) -> None:
    page = opened(server.url)
    page.locator("#s-n").fill("1")
    page.locator("#s-max_tokens").fill("6")
    box = go_on(page, "hello")
    first = box.locator(".tok").count()
    box.get_by_role("button", name="More").click()
    until(page, "n => document.querySelectorAll('.card .tok').length > n", arg=first)
    until(page, "!document.querySelector('.busy')")
    box.get_by_role("button", name="Edit").click()
    kept = page.locator(".cell").nth(1).locator("textarea").input_value()
    assert kept.startswith("hello")
    page.reload()
    until(page, "document.querySelectorAll('.cell').length === 2")
    assert page.locator(".cell textarea").nth(1).input_value() == kept
    page.locator("#s-max_tokens").fill("400")
    page.locator(".cell").nth(0).get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Stop").first.click()
    until(page, "!document.querySelector('.busy')")
    assert page.locator(".cell").nth(0).locator(".tok").count() < 400
    assert not [problem for problem in page.problems if "Abort" not in problem]


@pytest.mark.slow
def test_a_conversation_and_what_the_model_really_reads(server: Live, opened: Callable[..., Any]) -> None:
    page = opened(server.url)
    page.get_by_role("tab", name="Chat").click()
    page.locator("#s-max_tokens").fill("8")
    page.locator("#message").fill("hello")
    page.locator("#message").press("Enter")
    until(page, "document.querySelectorAll('.turn.assistant .tok').length > 0")
    until(page, "!document.querySelector('.busy')")
    page.locator("#raw").check()
    until(page, "document.querySelectorAll('#raw-view .tok').length > 0")
    shown = page.locator("#raw-view .tok").all_text_contents()
    assert "<|turn|>" in shown
    assert page.locator("#raw-view .tok.special").count() >= 2
    page.get_by_role("button", name="New conversation").click()
    assert page.locator(".turn").count() == 0
    assert not page.problems


@pytest.mark.slow
def test_a_base_model_says_that_it_can_not_chat(opened: Callable[..., Any]) -> None:
    with Live({"base": byte_engine(None)}) as live:
        page = opened(live.url)
        page.get_by_role("tab", name="Chat").click()
        page.locator("#message").fill("hello")
        page.locator("#message").press("Enter")
        page.wait_for_selector("#no-chat:not([hidden])")
        assert "chat template" in page.locator("#no-chat").text_content()
        assert page.locator("#message").input_value() == "hello"


@pytest.mark.slow
def test_a_wrong_key_is_told_and_a_right_one_works(opened: Callable[..., Any], browser: Any) -> None:
    with Live({"tiny": byte_engine()}, api_key="secret") as live:
        context = browser.new_context()
        page = context.new_page()
        page.goto(live.url)
        until(page, "document.querySelector('#status').textContent.includes('key')")
        page.locator("#settings-open").click() if page.locator("#settings").is_hidden() else None
        page.locator("#s-key").fill("secret")
        page.locator("#s-key").blur()
        until(page, "document.querySelector('#model').options.length === 1")
        context.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(320, 640), (768, 1024), (1280, 900)])
def test_the_page_fits_its_width(
    server: Live, opened: Callable[..., Any], width: int, height: int, scheme: str
) -> None:
    page = opened(server.url, width, height, scheme)
    go_on(page, "hello")
    for tab in ("Write on", "Chat"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not page.problems


@pytest.mark.slow
def test_hostile_text_is_shown_as_text(server: Live, opened: Callable[..., Any]) -> None:
    page = opened(server.url)
    page.evaluate("window.hit = 0")
    go_on(page, "<img src=x onerror='window.hit=1'><script>window.hit=2</script>")
    assert page.evaluate("window.hit") == 0
    assert page.locator("main img, main script").count() == 0


def test_only_known_hosts_get_the_page(server: Live) -> None:
    found = httpx.get(f"{server.url}/", headers={"host": "evil.example"})
    assert found.status_code == 403
