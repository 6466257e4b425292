"""Tasks of reasoning-gym by name, scored by its own scorer.

The slow tests need reasoning-gym, which `make test-slow` installs: without it they fail.
"""

from __future__ import annotations

import sys

import pytest

from candor.core.errors import CandorError
from candor.reasoning.tasks import task_of
from candor.reasoning.ways import ways_of
from candor.reasoning.ways.asking import ASKING

ASKED = [way.name for way in ASKING]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["basic_arithmetic", "spell_backward", "chain_sum", "number_sorting", "leg_counting"]
)
def test_its_problems_have_their_answers_and_no_others(name: str) -> None:
    task = task_of(f"gym:{name}")
    problems = task.problems(5, 3)
    assert len(problems) == 5
    assert problems == task_of(f"gym:{name}").problems(5, 3)
    for problem in problems:
        assert task.right(problem, problem.answer)
        assert not task.right(problem, f"{problem.answer}1")
    others = {problem.question for problem in task.problems(5, 4)}
    assert {problem.question for problem in problems} != others


@pytest.mark.slow
@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("name", ["basic_arithmetic", "spell_backward", "number_sorting", "mini_sudoku"])
def test_ways_read_what_they_write_of_answers_that_are_no_numbers(name: str, chat: bool) -> None:
    task = task_of(f"gym:{name}")
    for way in ways_of(ASKED, chat=chat):
        for problem in task.problems(3, 0):
            assert task.right(problem, way.read(way.written(problem)) or ""), (way.name, problem)


@pytest.mark.slow
def test_words_behind_an_answer_do_not_make_it_wrong() -> None:
    task = task_of("gym:basic_arithmetic")
    (problem,) = task.problems(1, 0)
    assert task.right(problem, f"{problem.answer}\n\nI added them up.")


@pytest.mark.slow
def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(CandorError) as error:
        task_of("gym:basic_arithmetics")
    assert "no task by the name 'basic_arithmetics'" in str(error.value)
    assert "did you mean 'gym:basic_arithmetic'?" in str(error.value)
    with pytest.raises(CandorError, match="no task by the name ''"):
        task_of("gym")


def test_a_missing_package_is_told_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(CandorError) as error:
        task_of("gym:basic_arithmetic")
    assert "pip install 'candor-lm[reasoning]'" in str(error.value)
