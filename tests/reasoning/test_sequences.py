"""Tasks with a state: what is right, how they are worked out, and how they are named."""

from __future__ import annotations

import pytest

from candor.core.errors import CandorError
from candor.reasoning.tasks.sequences import NAMES, sequence_task
from candor.reasoning.ways.free import Free


def test_a_digit_sum_is_the_sum_of_its_digits_and_its_steps_the_sums_so_far() -> None:
    task = sequence_task("digit-sum:12")
    for problem in task.problems(200, 0):
        digits = [int(digit) for digit in problem.question[:-1]]
        assert len(digits) == 12
        assert problem.answer == str(sum(digits) % 10)
        assert [int(step) for step in problem.steps] == [sum(digits[: i + 1]) % 10 for i in range(12)]


def test_parity_is_whether_the_ones_are_odd() -> None:
    for problem in sequence_task("parity:9").problems(100, 1):
        assert problem.answer == str(problem.question.count("1") % 2)


def test_cups_come_out_where_swapping_them_leaves_them() -> None:
    assert sequence_task("cups:8").problem("abcaabcb").answer == _by_hand("abcaabcb")
    found = {problem.answer for problem in sequence_task("cups:8").problems(300, 2)}
    assert len(found) == 3  # an even number of swaps is an even permutation


def _by_hand(swaps: str) -> str:
    left, middle, right = "ABC"
    for swap in swaps:
        if swap == "a":
            left, middle = middle, left
        elif swap == "b":
            middle, right = right, middle
        else:
            left, right = right, left
    return left + middle + right


@pytest.mark.parametrize("kind", NAMES)
def test_what_is_written_is_read_as_the_right_answer_and_other_answers_are_wrong(kind: str) -> None:
    task, way = sequence_task(f"{kind}:5-7"), Free()
    for problem in task.problems(50, 3):
        for completion in (way.written(problem), way.direct(problem)):
            answer = way.read(completion)
            assert answer is not None
            assert task.right(problem, answer)
        assert way.is_reasoning(way.written(problem))
        assert not way.is_reasoning(way.direct(problem))
        assert not task.right(problem, problem.answer[::-1] + "0")


def test_steps_that_come_to_no_answer_are_read_as_none() -> None:
    way = Free()
    assert way.read(">348935") is None
    assert way.read(">348935:") is None
    assert way.read("") is None
    assert way.read(">348:9:5") == "5"


def test_problems_differ_and_depend_on_the_seed_alone() -> None:
    task = sequence_task("digit-sum:2-4")
    first = task.problems(500, 7)
    assert first == task.problems(500, 7)
    assert first != task.problems(500, 8)
    assert len({problem.id for problem in first}) == 500
    assert {len(problem.question) - 1 for problem in first} == {2, 3, 4}


def test_a_small_task_gives_every_problem_once() -> None:
    found = sequence_task("parity:3").problems(100, 0)
    assert sorted(problem.question for problem in found) == [f"{number:03b}=" for number in range(8)]


@pytest.mark.parametrize("name", ["digit-sum", "digit-sum:0", "digit-sum:9-3", "digits:4", "parity:x"])
def test_a_name_that_is_none_is_told_with_one_that_is(name: str) -> None:
    with pytest.raises(CandorError) as told:
        sequence_task(name)
    assert name in told.value.message
    assert told.value.fix
