"""Every task knows its own answers, takes no others, and sets problems that are balanced and come again."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candor.core.errors import CandorError
from candor.reasoning import tasks
from candor.reasoning.numbers import same_number, shortest, stated, value_of
from candor.reasoning.tasks import register_task, task_of
from candor.reasoning.tasks.decimals import chosen, conflicting, later_as_version, named
from candor.reasoning.ways import ways_of
from candor.reasoning.ways.asking import ASKING
from candor.rl.problem import Task

ASKED = [way.name for way in ASKING]

SPECS = (
    "addition:1-9", "addition:9", "subtraction:1-6", "multiplication:1-3", "decimals", "decimals:version",
    "letters", "words", "words:3",
)  # fmt: skip
seeds = st.integers(0, 10_000)


def decimals_of(number: str) -> int:
    return len(number.partition(".")[2])


@given(spec=st.sampled_from(SPECS), seed=seeds, count=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_a_gold_answer_is_right_and_problems_come_again_without_doubles(
    spec: str, seed: int, count: int
) -> None:
    task = task_of(spec)
    problems = task.problems(count, seed)
    assert len(problems) == count
    assert (
        len({problem.id for problem in problems}) == len({problem.question for problem in problems}) == count
    )
    assert problems == task_of(spec).problems(count, seed)
    assert all(task.right(problem, problem.answer) for problem in problems)
    assert all(problem.steps and problem.kind for problem in problems)


@given(spec=st.sampled_from(SPECS), seed=seeds, wrong=st.integers(-(10**6), 10**6))
@settings(max_examples=60, deadline=None)
def test_a_different_number_is_never_right(spec: str, seed: int, wrong: int) -> None:
    task = task_of(spec)
    for problem in task.problems(4, seed):
        if value_of(problem.answer) != wrong:
            assert not task.right(problem, str(wrong))
        off = value_of(problem.answer) or Fraction(0)
        for near in (off + 1, off - 1, off * 10 + 1, off + Fraction(1, 10)):
            other = shortest(near)
            assert not task.right(problem, other), (problem, other)


@given(spec=st.sampled_from(SPECS), seed=seeds, chat=st.booleans(), way=st.sampled_from(ASKED))
@settings(max_examples=150, deadline=None)
def test_what_a_way_writes_it_reads_as_the_right_answer(spec: str, seed: int, chat: bool, way: str) -> None:
    task, (asking,) = task_of(spec), ways_of([way], chat=chat)
    for problem in task.problems(6, seed):
        read = asking.read(asking.written(problem))
        assert read is not None
        assert task.right(problem, read), (problem, read)


# --- numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234", 1234), ("$1,234.50", Fraction(2469, 2)), ("12.", 12), ("12.500", Fraction(25, 2)),
        ("−7", -7), ("-$7", -7), ("$-7", -7), ("+7", 7), ("**46**", 46), ("\\boxed{46}", 46), ("50%", 50),
        ("12 dollars", 12), ("€3", 3), ("3/4", Fraction(3, 4)), ("007", 7), (".5", Fraction(1, 2)),
        ("1,23", None), ("", None), ("twelve", None), ("12 apples", None), ("1e5", None), ("3/0", None),
        ("9" * 5000, None), ("٣", None),
    ],
)  # fmt: skip
def test_a_number_is_read_exactly_however_it_is_written(text: str, value: Fraction | int | None) -> None:
    assert value_of(text) == value


@given(st.fractions(max_denominator=1000), st.sampled_from(["{}", "${}", "{} dollars", " {}.", "**{}**"]))
def test_numbers_survive_being_written(value: Fraction, form: str) -> None:
    text = shortest(value)
    assert value_of(form.format(text) if "/" not in text else text) == value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12 + 34 = 46", "46"), ("12 + 34 =", None), ("12 + 34", None), ("What is 12 + 34?", None),
        ("What is 12 + 34? It is 46.", "46"), ("It is 46, since 12 plus 34 is 46.", "46"),
        ("46 (that is 12 + 34)", "46"), ("3 x 4 = 12", "12"), ("12 - 5", None), ("It is -5", "-5"),
        ("1,234 apples", "1,234"), ("the 2nd of v3", "2"), ("B12", None),
            ("Which is larger, 9.9 or 9.11?", None),
        ("**46**", "46"), ("$12 * 4 = $48", "48"), ("no number", None),
    ],
)  # fmt: skip
def test_what_is_asked_or_still_to_be_calculated_states_nothing(text: str, number: str | None) -> None:
    assert stated(text) == number


def test_an_answer_of_several_lines_gives_what_its_first_line_with_a_number_states() -> None:
    assert same_number("Well:\nit is 46.\nAdd 1 to get 47.", "46")
    assert not same_number("it is 47.\nAdd 1 to get 46.", "46")


# --- arithmetic ---------------------------------------------------------------------------------------


def test_the_famous_sum_is_always_among_additions_of_nine_digits() -> None:
    for seed in range(3):
        for spec, count in (("addition:9", 1), ("addition:1-9", 9), ("addition:8-10", 3)):
            answers = {p.question: p.answer for p in task_of(spec).problems(count, seed)}
            assert answers["What is 123456789 + 123456789?"] == "246913578"


def test_problems_have_each_number_of_digits_equally_often_as_far_as_there_are_so_many() -> None:
    kinds = Counter(problem.kind for problem in task_of("addition:1-9").problems(90, 0))
    assert set(kinds.values()) == {10}
    assert len(kinds) == 9
    assert Counter(p.kind for p in task_of("addition:1-2").problems(500, 0)) == {
        "1 digit": 100,
        "2 digits": 400,
    }
    assert len(task_of("subtraction:1").problems(1000, 0)) == 55


def test_columns_are_worked_with_carries_and_borrowing() -> None:
    from candor.reasoning.tasks.columns import added, multiplied, subtracted

    assert added(95, 7) == "5 + 7 = 12, write 2, carry 1\n9 + 0 + 1 = 10, write 0, carry 1\nwrite 1"
    assert (
        subtracted(102, 5).splitlines()[1] == "0 - 1 = -1, -1 is less than 0, borrow 10, 9 - 0 = 9, write 9"
    )
    assert multiplied(12, 34) == "12 * 4 = 48\n12 * 30 = 360\nadd: 48 + 360"


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_digits_written_in_worked_columns_are_the_result_from_its_end(a: int, b: int) -> None:
    from candor.reasoning.tasks.columns import added, subtracted

    for worked, result in ((added(a, b), a + b), (subtracted(max(a, b), min(a, b)), abs(a - b))):
        digits = [line.rpartition("write ")[2][0] for line in worked.splitlines()]
        assert int("".join(reversed(digits))) == result


# --- decimals -----------------------------------------------------------------------------------------


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_decimals_are_balanced_in_order_and_in_which_is_larger(seed: int) -> None:
    problems = task_of("decimals").problems(32 * 5, seed)
    assert Counter(p.kind for p in problems) == {
        f"{context}, {kind}": 20
        for context in ("neutral", "decimal", "version", "verse")
        for kind in ("conflict", "agree")
    }
    for kind in {problem.kind for problem in problems}:
        some = [problem for problem in problems if problem.kind == kind]
        assert sum(named(problem)[0] == problem.answer for problem in some) == len(some) // 2
        longer = sum(problem.answer == max(named(problem), key=decimals_of) for problem in some)
        if kind.endswith("agree"):
            assert longer == len(some) // 2
        else:  # what a conflict is
            assert longer == (len(some) if kind.startswith("v") else 0)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_pairs_conflict_only_where_versions_and_numbers_differ(seed: int) -> None:
    for problem in task_of("decimals").problems(64, seed):
        pair = named(problem)
        assert len({Fraction(one) for one in pair}) == 2
        assert conflicting(problem) == problem.kind.endswith("conflict")
        piecewise = problem.kind.startswith("v")
        assert problem.answer == (later_as_version(*pair) if piecewise else max(pair, key=Fraction))


def test_the_famous_pair_is_right_by_number_or_by_version_as_the_context_has_it() -> None:
    found = {p.kind: p.answer for p in task_of("decimals").problems(4, 7)}
    assert found == {
        "neutral, conflict": "9.9",
        "decimal, conflict": "9.9",
        "version, conflict": "9.11",
        "verse, conflict": "9.11",
    }


@pytest.mark.parametrize(
    ("answer", "choice"),
    [
        ("9.9", "9.9"), ("9.11.", "9.11"), ("9.11 is larger than 9.9", "9.11"), ("9.90", "9.9"),
        ("9.9 is less than 9.11", "9.11"), ("9.11 is smaller than 9.9.", "9.9"), ("9.2", None), ("9", None),
        ("the second", None), ("9.9\nbecause 9.11 is version 9.11", "9.9"), ("9.11 > 9.9", "9.11"),
    ],
)  # fmt: skip
def test_which_number_an_answer_chooses(answer: str, choice: str | None) -> None:
    assert chosen(task_of("decimals:neutral").problems(1, 0)[0], answer) == choice


def test_trailing_zeros_make_another_version() -> None:
    assert chosen(task_of("decimals:version").problems(1, 0)[0], "9.90") is None


# --- letters, words -----------------------------------------------------------------------------------


def test_letters_have_each_count_equally_often_and_strawberry_is_among_them() -> None:
    problems = task_of("letters").problems(40, 3)
    assert set(Counter(problem.kind for problem in problems).values()) == {10}
    assert problems[0].id == "r:strawberry"
    assert problems[0].steps == "s, t, r (1), a, w, b, e, r (2), r (3), y"
    assert task_of("letters").right(problems[0], "Three.")


def test_stories_have_their_number_of_steps_and_end_on_the_answer() -> None:
    for problem in task_of("words").problems(200, 1):
        lines = problem.steps.splitlines()
        assert problem.kind == ("1 step" if len(lines) == 1 else f"{len(lines)} steps")
        assert lines[-1].endswith(f"= {problem.answer}")
        for before, after in pairwise(lines):
            assert after.startswith(before.rpartition("= ")[2] + " ")
        assert 0 < int(problem.answer) <= 200
        assert "{" not in problem.question


# --- files --------------------------------------------------------------------------------------------


def write_rows(path: Path, rows: list[dict[str, object]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["some.jsonl", "some.jsonl.gz"])
def test_gsm8k_files_are_read_without_calculator_annotations(tmp_path: Path, name: str) -> None:
    rows = [
        {
            "question": f"How many in {n}?",
            "answer": f"{n}/2 = <<{n}/2={n // 2}>>{n // 2}.\nSo it is.\n#### 1,{n}0",
        }
        for n in (10, 20, 30)
    ]
    task = task_of(str(write_rows(tmp_path / name, rows)))
    problems = task.problems(10, 0)
    assert len(problems) == 3
    first = next(problem for problem in problems if problem.id == f"{name}:1")
    assert first.answer == "1100"
    assert first.steps == "10/2 = 5.\nSo it is."
    assert first.kind == "2 steps"
    assert all(task.right(problem, problem.answer) for problem in problems)


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ({"question": "a?", "answer": "it is 5"}, ("field 'answer'", "'#### '", "found none")),
        ({"question": "a?", "answer": "#### many"}, ("field 'answer'", "found 'many'")),
        ({"question": "a?"}, ("field 'answer'", "missing")),
        ({"answer": "#### 5"}, ("field 'question'", "missing")),
        ({"question": " ", "answer": "#### 5"}, ("field 'question'", "is empty")),
        ({"question": 5.5, "answer": "#### 5"}, ("field 'question'", "expected a string")),
    ],
)
def test_a_bad_row_is_told_with_its_file_line_and_field(
    tmp_path: Path, row: dict[str, object], parts: tuple[str, ...]
) -> None:
    path = write_rows(tmp_path / "bad.jsonl", [{"question": "b?", "answer": "#### 1"}, row])
    with pytest.raises(CandorError) as error:
        task_of(str(path)).problems(1, 0)
    for part in (f"{path}:2", *parts):
        assert part in str(error.value)


def test_a_file_that_is_missing_or_empty_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    for name, told in (("none.jsonl", "no such file"), ("empty.jsonl", "there are no problems in it")):
        with pytest.raises(CandorError, match=told):
            task_of(str(tmp_path / name)).problems(1, 0)


# --- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("addtion:3", ("'addtion:3'", "did you mean 'addition'?")),
        ("addition:0", ("addition:3 or addition:1-4", "1 to 30 digits")),
        ("addition:x", ("names no number of digits",)),
        ("addition:5-2", ("names no number of digits",)),
        ("words:9", ("1 to 4 steps",)),
        ("decimals:bible", ("neutral, decimal, version, verse",)),
        ("letters:3", ("write letters",)),
        ("???", ("there are addition, subtraction", "GSM8K")),
    ],
)
def test_a_name_that_is_none_is_told_with_the_nearest(spec: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(CandorError) as error:
        task_of(spec)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize("spec", SPECS)
def test_a_task_is_called_what_the_user_called_it(spec: str) -> None:
    task: Task = task_of(spec)
    assert task.name == spec


def test_other_packages_can_add_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_FAMILIES", dict(tasks._FAMILIES))
    register_task("sums", lambda digits: task_of(f"addition:{digits}"))
    assert task_of("sums:3").problems(5, 0) == task_of("addition:3").problems(5, 0)
    with pytest.raises(CandorError, match="did you mean 'sums'"):
        task_of("sum")
