"""Asking in several ways: whole, killed and continued, and what is counted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from byte_models import TEMPLATE, byte_model, byte_tokenizer
from candor.core.errors import CandorError
from candor.core.files import read_json, read_jsonl, write_jsonl
from candor.core.progress import Reporter
from candor.core.recipe import validated
from candor.core.run import Run
from candor.model.load import save_checkpoint
from candor.reasoning.tasks import task_of
from candor.reasoning.think import pipeline
from candor.reasoning.think.asked import Answered, Asked, choose
from candor.reasoning.think.pipeline import ThinkRun
from candor.reasoning.think.recipe import ThinkRecipe
from candor.reasoning.think.results import summary


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_checkpoint(byte_model(context=4096).to(torch.bfloat16), byte_tokenizer(TEMPLATE), folder)
    return folder


def recipe(model: Path | str, **changes: Any) -> ThinkRecipe:
    values: dict[str, dict[str, Any]] = {
        "model": {"name": str(model)},
        "ask": {
            "tasks": ["addition:1-2", "decimals"],
            "ways": ["direct", "steps"],
            "problems": 4,
            "shown": 1,
        },
        "answer": {"max_tokens": 12, "budgets": [2, 8], "temperature": 1.0},
    }
    for key, value in changes.items():
        part, _, name = key.partition("__")
        values[part][name] = value
    return validated(ThinkRecipe, values)


@contextmanager
def running(folder: Path, settings: ThinkRecipe) -> Iterator[ThinkRun]:
    run = ThinkRun(Run.start(folder, settings), Reporter("quiet"))
    try:
        yield run
    finally:
        run.run.close()


@pytest.fixture(scope="module")
def whole(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    with running(folder, recipe(checkpoint)) as run:
        run.up_to("evaluate")
    return folder


def outputs(folder: Path) -> dict[str, str]:
    names = ("problems.jsonl", "samples.jsonl", "budget.jsonl")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def test_every_problem_has_a_row_for_each_way_with_what_was_written_and_read(whole: Path) -> None:
    rows = read_jsonl(whole / "samples.jsonl", Answered)
    assert len(rows) == 2 * 2 * 4
    for row in rows:
        assert row.question in row.prompt
        assert 1 <= row.tokens <= 12
        assert row.tokens == len(row.token_ids)
        assert row.parts
        assert row.right <= (row.read is not None)
    ids = {way: [row.id for row in rows if row.way == way] for way in ("direct", "steps")}
    assert ids["direct"] == ids["steps"]


def test_problems_that_are_shown_solved_are_not_asked(whole: Path) -> None:
    rows = read_jsonl(whole / "problems.jsonl", Asked)
    for task in ("addition:1-2", "decimals"):
        asked, shown = (
            {row.problem.id for row in rows if (row.task, row.use) == (task, use)}
            for use in ("asked", "shown")
        )
        assert (len(asked), len(shown)) == (4, 1)
        assert not asked & shown


def test_budgets_cut_the_same_completions(whole: Path) -> None:
    rows = {(row.task, row.way, row.id): row for row in read_jsonl(whole / "samples.jsonl", Answered)}
    within = read_jsonl(whole / "budget.jsonl", Answered)
    assert len(within) == 2 * len(rows)
    for row in within:
        full = rows[row.task, row.way, row.id]
        assert row.budget is not None
        assert row.tokens == min(full.tokens, row.budget)
        if not row.forced and full.finished and full.tokens <= row.budget:
            assert (row.completion, row.read, row.right) == (full.completion, full.read, full.right)
        elif row.forced:
            assert len(row.completion) > 0


def test_a_killed_run_continues_to_the_same_files(
    checkpoint: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real, calls = tmp_path / "run", pipeline.ask, []

    def ask(*arguments: Any) -> list[Answered]:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(arguments[2].name)
        return real(*arguments)

    monkeypatch.setattr(pipeline, "ask", ask)
    with running(folder, recipe(checkpoint)) as run, pytest.raises(KeyboardInterrupt):
        run.up_to("evaluate")
    assert len(list((folder / "answers").iterdir())) == 2
    calls.clear()
    calls.append("one may pass")  # of the four, two are left
    monkeypatch.setattr(pipeline, "ask", lambda *a: (calls.append("again"), real(*a))[1])
    with running(folder, recipe(checkpoint)) as run:
        run.up_to("evaluate")
    assert calls.count("again") == 2
    assert outputs(folder) == outputs(whole)
    for key in ("accuracy", "budgets", "against_direct", "decimals"):
        assert read_json(folder / "metrics.json")[key] == read_json(whole / "metrics.json")[key]


def test_without_budgets_no_curve_is_measured(checkpoint: Path, tmp_path: Path) -> None:
    settings = recipe(checkpoint, answer__budgets=[], ask__tasks=["letters"], ask__ways=["direct"])
    with running(tmp_path / "run", settings) as run:
        run.up_to("evaluate")
    assert read_json(tmp_path / "run" / "metrics.json")["budgets"] == []


def test_a_task_with_too_few_problems_is_told(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "two.jsonl", [{"question": f"{n}?", "answer": f"#### {n}"} for n in range(2)])
    task = task_of(str(tmp_path / "two.jsonl"))
    assert [row.use for row in choose(task, 5, 1, 0)] == ["asked", "shown"]
    with pytest.raises(CandorError, match="--shown 0"):
        choose(task, 5, 2, 0)


def test_problems_shown_are_of_as_many_kinds_as_there_are() -> None:
    rows = choose(task_of("addition:1-9"), 9, 5, 0)
    assert len({row.problem.kind for row in rows if row.use == "shown"}) == 5


# --- what is counted ----------------------------------------------------------------------------------


def row(way: str, number: int, **fields: Any) -> Answered:
    values: dict[str, Any] = {
        "task": "addition:1-2", "kind": f"{1 + number % 2} digits", "id": str(number), "way": way,
        "question": "What is 1 + 1?", "prompt": "p", "completion": "Answer: 2", "answer": "2", "read": "2",
        "right": True, "tokens": 5, "finished": True, "parts": ("1", "1"),
    }  # fmt: skip
    return Answered.model_validate({**values, **fields})


def test_accuracy_counts_what_could_not_be_read_as_wrong_and_apart() -> None:
    rows = [
        row("direct", 0),
        row("direct", 1, read=None, right=False),
        row("direct", 2, read="3", right=False),
    ]
    found = summary(rows, [])["accuracy"]
    assert found[0]["right"]["value"] == pytest.approx(1 / 3)
    assert (found[0]["unread"], found[0]["right"]["n"], found[0]["kind"]) == (1, 3, "")
    assert [one["kind"] for one in found[1:]] == ["1 digits", "2 digits"]


def test_the_answer_that_is_given_most_is_told_with_its_share() -> None:
    rows = [row("direct", n, read=str(n // 3), right=False) for n in range(4)]
    assert summary(rows, [])["accuracy"][0]["most"] == {"answer": "0", "share": 0.75}
    assert summary([row("direct", 0, read=None, right=False)], [])["accuracy"][0]["most"] is None


def test_differences_are_of_the_same_problems() -> None:
    rows = [row("direct", n, right=n < 2) for n in range(8)] + [
        row("steps", n, right=n < 6) for n in range(8)
    ]
    (found,) = summary(rows, [])["against_direct"]
    assert (found["way"], found["difference"]["n"]) == ("steps", 8)
    assert found["difference"]["value"] == pytest.approx(0.5)
    assert found["difference"]["low"] > 0


def test_accuracy_is_split_by_tokens_only_where_both_occur() -> None:
    rows = [row("direct", 0), row("direct", 1, parts=("1|2", "1"), right=False)]
    found = summary(rows, [])["tokenisation"]
    assert [(one["pieces"], one["right"]["value"]) for one in found] == [("one", 1.0), ("several", 0.0)]
    assert summary(rows[:1], [])["tokenisation"] == []


def test_explanations_of_wrong_answers_justify_or_correct() -> None:
    said = "Answer: 3\nExplanation:\n1 + 1 = {}\nSo it is {}."
    wrong = {"read": "3", "right": False}
    rows = [
        row("explain", 0, completion=said.format(3, 3), **wrong),
        row("explain", 1, completion=said.format(2, 2), **wrong),
        row("explain", 2, completion=said.format(9, 9), **wrong),
        row("explain", 3, completion="Answer: 3", **wrong),
        row("explain", 4, completion=said.format(2, 2)),
    ]
    (found,) = summary(rows, [])["explanations"]
    for end in ("justified", "corrected", "neither"):
        assert found[end]["value"] == pytest.approx(1 / 3)
        assert found[end]["n"] == 3


def test_contexts_say_which_logic_was_followed_where_the_two_differ() -> None:
    task = task_of("decimals:neutral")
    rows = []
    for number, problem in enumerate(task.problems(8, 0)):
        from candor.reasoning.tasks.decimals import later_as_version, named

        said = later_as_version(*named(problem))
        rows.append(
            row("direct", number, task="decimals", kind=problem.kind, question=problem.question, read=said,
                answer=problem.answer, right=task.right(problem, said))
        )  # fmt: skip
    (found,) = summary(rows, [])["decimals"]
    assert (found["by_version"]["value"], found["by_version"]["n"]) == (1.0, 4)
    assert found["by_number"]["value"] == 0.0
    assert found["right"]["value"] == 0.5
    assert found["first"]["value"] == 0.5


# --- a real model -------------------------------------------------------------------------------------


def test_smollm2_adds_small_numbers_when_shown_how(smollm2: str, tmp_path: Path) -> None:
    settings = validated(
        ThinkRecipe,
        {
            "model": {"name": smollm2},
            "ask": {"tasks": ["addition:1"], "ways": ["direct"], "problems": 24},
            "answer": {"max_tokens": 12, "budgets": []},
        },
    )
    with running(tmp_path / "run", settings) as run:
        run.up_to("evaluate")
    found = read_json(tmp_path / "run" / "metrics.json")["accuracy"][0]
    assert found["right"]["n"] == 24
    assert found["right"]["value"] > 0.3  # by chance about one in twenty
    assert found["unread"] == 0
