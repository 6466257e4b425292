"""The page of a chat tuning says what was measured, with intervals, and shows what was written as text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from candor.report import render_report, wording

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
GROUPS = ("threads", "recall", "reference", "correction", "consistency", "constraint", "single")


def estimate(value: float, n: int = 40) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": n}


def metrics() -> dict[str, Any]:
    reply = {"prompt": HOSTILE, "greedy": HOSTILE, "drawn": HOSTILE, "ended": True}
    return {
        "model": HOSTILE,
        "loss": {"before": estimate(6.05), "after": estimate(4.88), "change": estimate(-1.17)},
        "loss_by_source": [
            {"source": HOSTILE, "before": estimate(6.05), "after": estimate(4.88), "change": estimate(-1.17)}
        ],
        "threads": {
            moment: {group: {"preferred": estimate(p, 300), "written": estimate(w, 300)} for group in GROUPS}
            for moment, p, w in (("before", 0.51, 0.06), ("after", 0.63, 0.23), ("change", 0.12, 0.17))
        },
        "tone": {
            **{
                moment: {
                    level: {
                        kind: estimate(value, 80 if level == "all" else 20)
                        for kind in ("refused", "hedged", "boosted", "bare", "unsure", "sure_and_wrong")
                    }
                    for level in ("all", "easy", "hard", "invented", "private")
                }
                for moment, value in (("before", 0.37), ("after", 0.58), ("change", 0.21))
            },
            "truth": {
                moment: {
                    name: estimate(value, 33)
                    for name in ("wrong_asserted", "right_asserted", "wrong_boosted", "difference")
                }
                for moment, value in (("before", 0.9), ("after", 0.7))
            },
        },
        "mix": {
            "sources": [
                {
                    "name": HOSTILE, "conversations": 1234, "assistant_turns": 1.4, "tokens": 56789,
                    "supervised": 20001, "too_long": 7, "duplicates": 3,
                    "split": 412, "lost_turns": 29,
                }
            ],
            "split": {"train": 1172, "validation": 62},
            "problems": {"empty turn": {"count": 11}},
        },
        "tune": {"steps": 40, "tokens": 56789, "supervised_tokens": 20001},
        "replies": {"before": [{**reply, "greedy": ""}], "after": [reply]},
        "commands": {"run": "candor chat tune --recipe recipe.toml --out NEW"},
        "timings": {"data": 3.0, "tune": 60.0, "evaluate": 50.0},
    }  # fmt: skip


def write_chat_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text('kind = "chat"\nseed = 3\n')
    manifest = {"candor": "0.1", "versions": {"torch": "2"}, "machine": {"cores": 2}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "metrics.json").write_text(json.dumps(metrics()))
    events = [
        {"event": "validation", "step": step, "validation_loss": 6.0 - step / 40} for step in range(0, 41, 4)
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render_report(write_chat_run(tmp_path_factory.mktemp("chat") / "run")).read_text(encoding="utf-8")


def test_headline_and_tiles_state_the_numbers(page: str) -> None:
    assert "A token of a held-out reply costs 4.88 nats, where it cost 6.05 before." in page
    for text in (
        "4.880",
        "6.050",
        "63%",
        "51%",
        "23%",
        "n = 300",
        "n = 40",
        "1,172",
        "20,001",
        "56,789",
    ):
        assert text in page, text


def test_changes_have_signs_and_shares_change_by_points(page: str) -> None:
    for text in ("changed by −1.170", "−1.220 to −1.120", "changed by +12.0 points", "+7.0 to +17.0"):
        assert text in page, text
    assert wording.points(-0.0001) == "0.0"
    assert wording.change(None) == wording.DASH


def test_tone_is_shown_by_kind_and_held_against_truth(page: str) -> None:
    for text in ("Wrong, and no doubt said", "changed by +21.0 points", "n = 80"):
        assert text in page, text
    assert "Right answers, before: 90% (85% to 95%, n = 33)" in page
    assert "right minus wrong +70.0 points (+65.0 to +75.0)" in page
    assert "About invented things: answers with a hedge" in page


def test_of_a_single_right_answer_nothing_is_concluded(tmp_path: Path) -> None:
    run, whole = write_chat_run(tmp_path / "run"), metrics()
    whole["tone"]["truth"]["after"]["right_asserted"]["n"] = 1
    (run / "metrics.json").write_text(json.dumps(whole))
    text = render_report(run).read_text(encoding="utf-8")
    assert "right minus wrong" not in text
    assert "too few of one of them to compare" in text


def test_intervals_are_said_to_go_by_conversation(page: str) -> None:
    assert "treat each conversation, and of the cases each template, as one draw" in page


def test_every_section_of_the_menu_has_its_heading(page: str) -> None:
    menu = re.findall(r'<a href="#([\w-]+)">([^<]+)</a>', page)
    headings = dict(re.findall(r'<h2 id="([\w-]+)-h">([^<]+)</h2>', page))
    named = {identity: words for identity, words in menu if identity in headings}
    assert named == headings
    assert len(headings) == 6


def test_no_label_of_a_plot_is_cut_short(page: str) -> None:
    labels = re.findall(r"<text[^>]*>([^<]*)</text>", page)
    assert "An opening instruction, before" in labels
    assert not [label for label in labels if label.endswith("…")]


def test_what_was_left_out_is_shown(page: str) -> None:
    assert "empty turn" in page
    for text in ("11", "1,234", "412", "29"):
        assert f">{text}<" in page, text


def test_what_a_model_or_a_file_says_is_shown_as_text_and_no_script_is_allowed(page: str) -> None:
    assert "<script" not in page
    assert "<img" not in page
    assert "script-src 'none'" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "(nothing)" in page  # a reply without words


@pytest.mark.parametrize("name", ["metrics.json", "events.jsonl", "manifest.json"])
def test_an_unfinished_run_has_a_page(tmp_path: Path, name: str) -> None:
    run = write_chat_run(tmp_path / "run")
    (run / name).unlink()
    text = render_report(run).read_text(encoding="utf-8")
    assert "Candor chat report" in text
    if name == "metrics.json":
        assert "This run has no results yet." in text


def test_a_run_folder_with_a_recipe_alone_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('kind = "chat"\n')
    text = render_report(tmp_path).read_text(encoding="utf-8")
    assert "This run has no results yet." in text
    assert "candor chat tune goes on where it stopped" in text
    assert text.count('class="absent"') == 5


def test_any_missing_part_is_left_out_without_an_error(tmp_path: Path) -> None:
    run = write_chat_run(tmp_path / "run")
    whole = metrics()
    for key in whole:
        for value in (None, {}, [], "x", 3):
            (run / "metrics.json").write_text(json.dumps({**whole, key: value}))
            render_report(run)
