"""`candor think evaluate`: what it prints, and what a user gets wrong, told with its fix, exit code 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from byte_models import TEMPLATE, byte_model, byte_tokenizer
from candor.core.files import read_json
from candor.model.load import save_checkpoint
from command_result import Result, assert_told

FAST = ("--problems", "2", "--shown", "1", "--budgets", "4", "--set", "answer.max_tokens=6")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`chat` has a template, `base` has none, `short` reads 64 tokens."""
    folder = tmp_path_factory.mktemp("models")
    for name, template, context in (("chat", TEMPLATE, 4096), ("base", None, 4096), ("short", None, 64)):
        model = byte_model(context=context).to(torch.bfloat16)
        save_checkpoint(model, byte_tokenizer(template), folder / name)
    return folder


@pytest.mark.parametrize("name", ["chat", "base"])
def test_evaluate_prints_right_answers_by_task_and_way_and_writes_the_page(
    candor: Callable[..., Result], models: Path, name: str
) -> None:
    words = (
        "think",
        "evaluate",
        "--model",
        models / name,
        "--tasks",
        "letters,words:1",
        "--ways",
        "direct,steps",
    )
    done = candor(*words, "--out", "run", *FAST)
    assert done.code == 0, done.err
    for part in ("letters", "words:1", "direct", "steps", "samples:    run/samples.jsonl"):
        assert part in done.out
    assert "Candor report of ways of asking" in Path("run/report.html").read_text(encoding="utf-8")
    again = candor(*words, "--out", "run", *FAST)
    assert [line for line in again.err.splitlines() if "done before" in line] == [
        f"{stage}: done before" for stage in ("problems", "answers", "budgets", "evaluate")
    ]


def test_json_mode_prints_nothing_but_json_lines(candor: Callable[..., Result], models: Path) -> None:
    words = ("--model", models / "chat", "--tasks", "letters", "--ways", "direct", "--out", "run", *FAST)
    done = candor("think", "evaluate", *words, "--json")
    assert (done.code, done.err) == (0, "")
    last = [json.loads(line) for line in done.out.splitlines()][-1]
    assert set(last) == {"metrics", "samples", "report"}
    assert all(Path(path).is_file() for path in last.values())


def test_a_chat_model_can_be_asked_by_text(candor: Callable[..., Result], models: Path) -> None:
    words = ("--model", models / "chat", "--tasks", "letters", "--ways", "direct", "--out", "run", *FAST)
    assert candor("think", "evaluate", *words, "--raw", "--budgets", "none").code == 0
    assert "Question: How many times" in Path("run/samples.jsonl").read_text(encoding="utf-8")
    assert read_json("run/metrics.json")["budgets"] == []


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--ways", "direct,reverse"), ("'reverse'", "did you mean 'reversed'?")),
        (("--tasks", "addtion:3"), ("'addtion:3'", "did you mean 'addition'?")),
        (("--tasks", "none.jsonl"), ("none.jsonl: no such file",)),
        (("--tasks", "bad.jsonl"), ("bad.jsonl:2", "field 'answer'", "#### 72")),
        (("--tasks", "letters,letters"), ("ask.tasks", "named twice")),
        (("--tasks", ","), ("ask.tasks",)),
        (("--problems", "0"), ("ask.problems", "greater than or equal to 1")),
        (("--budgets", "8,4"), ("answer.budgets", "rise")),
        (("--budgets", "few"), ("--budgets", "4,16,64")),
        (("--model", "nowhere"), ("nowhere: no model by that name",)),
        (("--template", "none.jinja"), ("none.jinja: no such chat template file",)),
        (("--set", "ask.shows=1"), ("did you mean 'ask.shown'?", "recipe show think")),
        (("--recipe", "chat.toml"), ("this recipe is for another command",)),
    ],
)
def test_wrong_words_are_told_and_no_run_is_left_behind(
    candor: Callable[..., Result], models: Path, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    Path("bad.jsonl").write_text(
        '{"question": "a?", "answer": "#### 1"}\n{"question": "b?", "answer": "2"}\n'
    )
    Path("chat.toml").write_text('kind = "chat"\n')
    given = ("--model", models / "chat", "--tasks", "letters", "--out", "run")
    assert_told(candor("think", "evaluate", *given, *words), *parts)
    assert not Path("run").exists()


def test_problems_that_do_not_fit_the_context_are_told(candor: Callable[..., Result], models: Path) -> None:
    words = ("--model", models / "short", "--tasks", "words", "--ways", "steps", "--out", "run", *FAST)
    assert_told(candor("think", "evaluate", *words), "64")


def test_every_setting_is_shown_with_what_it_does(candor: Callable[..., Result]) -> None:
    done = candor("recipe", "show", "think")
    assert done.code == 0
    for part in ('kind = "think"', "[ask]", "# Solved problems that stand before each", "budgets = ["):
        assert part in done.out
