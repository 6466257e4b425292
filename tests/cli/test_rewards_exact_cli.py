"""`candor rewards` from the command line: tables, JSON, a page, and what can't be written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from command_result import Result, assert_told

Candor = Callable[..., Result]


def test_bandit_prints_the_three_arms_and_how_often_the_guarantee_held(candor: Candor) -> None:
    done = candor("rewards", "bandit", "--cases", 5, "--out", "bandit.json", "--page", "bandit.html")
    assert done.code == 0, done.err
    for text in ("r = 0.728, λ = 0.381", "0.841", "0.582", "5 of 5", "in 25 of 25 random bandits"):
        assert text in done.out, done.out
    found = json.loads(Path("bandit.json").read_text())
    assert found["lab"] == "bandit" and len(found["families"]) == 5
    page = Path("bandit.html").read_text()
    assert 'id="bandit-wide-t"' in page and "candor rewards bandit --cases 5" in page


def test_no_word_is_cut_on_a_terminal_of_80_columns(candor: Candor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = candor("rewards", "bandit", "--cases", 3)
    assert "reference" in done.out and "hindsight" in done.out
    assert "…" not in done.out and "-0.000" not in done.out
    assert max(map(len, done.out.splitlines()[:20])) <= 80


def test_enumerated_shows_claims_and_arms(candor: Candor) -> None:
    done = candor("rewards", "enumerated", "--steps", 20, "--page", "enumerated.html")
    assert done.code == 0, done.err
    assert done.out.count("holds") == 10 and "FAILS" not in done.out
    for text in ("√χ² in the loss", "k1 in reward", "best of n draws"):
        assert text.lower() in done.out.lower(), done.out
    assert 'id="enumerated-wide-t"' in Path("enumerated.html").read_text()


def test_tomato_says_what_the_theorys_weight_earns(candor: Candor) -> None:
    done = candor("rewards", "tomato", "--quick", "--json", "--page", "tomato.html")
    assert done.code == 0, done.err
    found = json.loads(done.out.splitlines()[-1])
    methods = found["methods"]
    assert methods["chi2, theory"]["true_return"] > 7 > 6 > methods["reference"]["true_return"]
    assert methods["action chi2, theory"]["hacked"]
    assert "7.22" in Path("tomato.html").read_text()


def test_the_same_seed_gives_the_same_numbers(candor: Candor) -> None:
    for name in ("one.json", "two.json"):
        candor("rewards", "bandit", "--cases", 3, "--seed", 7, "--out", name)
    assert Path("one.json").read_text() == Path("two.json").read_text()


def test_what_cannot_be_written_is_told_before_the_work(candor: Candor) -> None:
    Path("folder").mkdir()
    Path("file").write_text("")
    assert_told(candor("rewards", "bandit", "--out", "folder"), "folder", "name a file")
    assert_told(candor("rewards", "tomato", "--page", "file/page.html"), "file/page.html")


def test_help_teaches(candor: Candor) -> None:
    text = " ".join(candor("rewards", "--help").out.replace("│", " ").split())
    for part in ("hacked", "bandit", "tomato", "enumerated", "Start with: candor rewards bandit"):
        assert part in text, part
    text = " ".join(candor("rewards", "tomato", "--help").out.replace("│", " ").split())
    for part in (
        "occupancy measures",
        "action distributions",
        "--reference",
        "Example: candor rewards tomato",
    ):
        assert part in text, part
