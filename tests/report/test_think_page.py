"""The page of ways of asking says what was measured, with intervals, and shows what was written as text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from candor.report import render_report

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
WAYS = ("direct", "reversed", "steps", "explain", "scratchpad")


def estimate(value: float, n: int = 40) -> dict[str, float]:
    return {"value": value, "low": max(0.0, value - 0.05), "high": value + 0.05, "n": n}


def metrics() -> dict[str, Any]:
    accuracy = [
        {
            "task": task, "way": way, "kind": kind, "right": estimate(0.2 + 0.05 * place), "unread": 7,
            "unfinished": 3, "tokens": estimate(31.5), "most": {"answer": HOSTILE, "share": 0.345},
        }
        for task in ("addition:1-9", "letters", HOSTILE)
        for place, way in enumerate(WAYS)
        for kind in ("", *([f"{n} digits" for n in range(2, 10)] if task.startswith("add") else [HOSTILE]))
    ]  # fmt: skip
    return {
        "model": HOSTILE,
        "seed": 3,
        "shown": 4,
        "tasks": ["addition:1-9", "letters"],
        "ways": list(WAYS),
        "accuracy": accuracy,
        "against_direct": [
            {"task": "addition:1-9", "way": "steps", "difference": estimate(0.31)},
            {"task": "letters", "way": "explain", "difference": {**estimate(0.0), "low": -0.1}},
        ],
        "budgets": [
            {"task": "addition:1-9", "way": way, "budget": b, "right": estimate(0.1 + b / 300), "forced": 5,
             "unread": 0, "tokens": b - 0.5}
            for way in ("direct", "steps") for b in (4, 8, 16, 32, 64, 128)
        ],
        "tokenisation": [{"task": "letters", "way": "direct", "pieces": "one", "right": estimate(0.77)}],
        "decimals": [
            {"context": "neutral", "way": "direct", "right": estimate(0.4), "by_version": estimate(0.625),
             "by_number": estimate(0.375), "first": estimate(0.5)}
        ],
        "explanations": [
            {"task": "letters", "justified": estimate(0.9), "corrected": estimate(0.06),
             "neither": estimate(0.04)}
        ],
        "failures": [
            {"task": "addition:1-9", "way": "direct", "kind": "9 digits", "question": HOSTILE, "answer": "2",
             "read": None, "completion": HOSTILE, "parts": ["123|456|789", HOSTILE], "tokens": 9}
        ],
        "commands": {"run": "candor think evaluate --recipe recipe.toml --out NEW"},
        "timings": {"answers": 60.0, "budgets": 50.0},
    }  # fmt: skip


def write_think_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text('kind = "think"\nseed = 3\n')
    manifest = {"candor": "0.1", "versions": {"torch": "2"}, "machine": {"cores": 2}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "metrics.json").write_text(json.dumps(metrics()))
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render_report(write_think_run(tmp_path_factory.mktemp("think") / "run")).read_text(
        encoding="utf-8"
    )


def test_headline_names_the_way_that_moves_most_beyond_chance(page: str) -> None:
    assert (
        "Asked by “steps” instead of directly, the same weights get 31.0 points more of addition:1-9." in page
    )


def test_numbers_stand_with_intervals_and_n(page: str) -> None:
    for text in ("+26.0 to +36.0", "n = 40", "62%", "90%", "31.5", "77%", "34%"):
        assert text in page, text


def test_failures_show_how_numbers_are_cut_into_tokens(page: str) -> None:
    assert 'In tokens: <code dir="auto">123|456|789, ' in page
    assert "(nothing)" in page


def test_plots_by_size_and_by_budget_say_their_numbers_in_words(page: str) -> None:
    titles = re.findall(r"<title id=\"[\w-]+\">([^<]+)</title>", page)
    assert "Right answers to addition:1-9, by number of digits" in titles
    assert "Right answers to addition:1-9, by tokens allowed" in titles
    assert "steps, 128 tokens before the answer: 53%" in page
    labels = re.findall(r"<text[^>]*>([^<]*)</text>", page)
    assert {"4", "16", "128"} <= set(labels)


def test_every_section_of_the_menu_has_its_heading(page: str) -> None:
    menu = re.findall(r'<a href="#([\w-]+)">([^<]+)</a>', page)
    headings = dict(re.findall(r'<h2 id="([\w-]+)-h">([^<]+)</h2>', page))
    assert {identity: words for identity, words in menu if identity in headings} == headings
    assert len(headings) == 7


def test_what_a_model_or_a_file_says_is_shown_as_text_and_no_script_is_allowed(page: str) -> None:
    assert "<script" not in page
    assert "<img" not in page
    assert "script-src 'none'" in page
    assert "&lt;script&gt;alert(1)" in page


def test_ways_that_differ_by_chance_only_are_said_to(tmp_path: Path) -> None:
    run = write_think_run(tmp_path / "run")
    found = metrics()
    found["against_direct"] = found["against_direct"][1:]
    (run / "metrics.json").write_text(json.dumps(found))
    text = render_report(run).read_text(encoding="utf-8")
    assert "No way of asking differs from asking directly by more than chance." in text


def test_an_unfinished_run_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('kind = "think"\n')
    text = render_report(tmp_path).read_text(encoding="utf-8")
    assert "This run has no results yet." in text
    assert "candor think evaluate goes on where it stopped" in text
    assert text.count('class="absent"') == 6


def test_any_missing_part_is_left_out_without_an_error(tmp_path: Path) -> None:
    run = write_think_run(tmp_path / "run")
    whole = metrics()
    for key in whole:
        for value in (None, {}, [], "x", 3, [{}]):
            (run / "metrics.json").write_text(json.dumps({**whole, key: value}))
            render_report(run)
