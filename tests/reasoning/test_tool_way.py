"""The calculator's way shows what it asks for, and reads what it shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.reasoning.ways.tool import ToolWay, expression_of
from candor.rl.problem import Problem, Way
from candor.tools import Calculator, calculate, result_spans

WAYS = [ToolWay(), ToolWay(chat=False), ToolWay(Calculator.by_tokens())]


def sum_of(a: int, b: int) -> Problem:
    return Problem(id=f"{a}+{b}", question=f"What is {a} + {b}?", answer=str(a + b))


@pytest.mark.parametrize("way", WAYS)
@given(st.integers(0, 10**12), st.integers(0, 10**12), st.sampled_from("+-*"))
def test_a_perfect_completion_calls_with_the_questions_expression_and_is_read_as_right(
    way: ToolWay, a: int, b: int, sign: str
) -> None:
    answer = calculate(f"{a} {sign} {b}")
    for question in (f"What is {a} {sign} {b}?", f"{a}{sign}{b}="):
        problem = Problem(id="1", question=question, answer=answer)
        written = way.written(problem)
        assert way.read(written) == answer
        ((start, end),) = result_spans(written, way.tools)
        assert written[start:end] == f"{way.tool.result_opening}{answer}{way.tool.result_closing}"
        called = written[:start].removeprefix(way.tool.opening).removesuffix(way.tool.closing)
        assert way.tool.run(called) == answer


@pytest.mark.parametrize(
    ("question", "expression"),
    [
        ("What is 12 + 34?", "12 + 34"),
        ("12+34=", "12+34"),
        ("Compute 1,234.5 × (3 − 1).", "1,234.5 × (3 − 1)"),
        ("What is -5 * -3?", "-5 * -3"),
        ("How much is 7 times 8?", "7 * 8"),
        ("What is 100 divided by 8?", "100 / 8"),
        ("Calculate (3 + 4) * 2.", "(3 + 4) * 2"),
        ("Which is larger, 9.9 or 9.11?", None),
        ("How many r are in strawberry?", None),
        ("On 3 May 5 people came.", None),
        ("What is 7 + ?", None),
    ],
)
def test_expressions_are_found_in_questions(question: str, expression: str | None) -> None:
    assert expression_of(question) == expression


def test_what_the_calculator_can_not_answer_is_solved_without_it() -> None:
    way = ToolWay()
    steps = Problem(id="1", question="Which is larger, 9.9 or 9.11?", answer="9.9", steps="9.90 against 9.11")
    assert way.written(steps) == "9.90 against 9.11\nAnswer: 9.9"
    misleading = Problem(id="2", question="Is 3 - 2 more than 5?", answer="no")
    assert way.written(misleading) == "Answer: no"
    assert way.read(way.written(misleading)) == "no"


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("Answer: 46", "46"),
        ("Answer: 46.", "46"),
        ("Answer: 0.5.\nThat is a half", "0.5"),
        ("<calc>1+1</calc><result>2</result>\nAnswer: 3", "3"),
        ("<calc>1+1</calc><result>2</result>", "2"),
        ("<calc>1+1</calc><result>2</result> so <calc>2*3</calc><result>6</result>", "6"),
        ("<calc>1+1</calc><result>2</result>\nAnswer:", "2"),
        ("<calc>1/0</calc><result>error: division by zero</result>", None),
        ("<result>2</result>", None),
        ("<calc>1+1</calc><result>2", None),
        ("I don't know", None),
        ("Answer: 46\n\nQuestion: What is 1 + 1?\nAnswer: 2", "46"),
        ("", None),
    ],
)
def test_the_answer_is_what_stands_behind_the_word_or_the_last_result(
    completion: str, answer: str | None
) -> None:
    assert ToolWay().read(completion) == answer


@pytest.mark.parametrize("way", WAYS)
def test_solved_problems_come_first_and_are_asked_in_the_same_way(way: ToolWay) -> None:
    asked: Way = way  # keeps to the protocol
    prompt = asked.prompt(sum_of(5, 6), [sum_of(1, 2), sum_of(3, 4)])
    if isinstance(prompt, str):
        assert prompt.startswith(way.instruction)
        assert prompt.endswith(
            f"Question: What is 3 + 4?\n{way.written(sum_of(3, 4))}\n\nQuestion: What is 5 + 6?\n"
        )
        return
    assert [message["role"] for message in prompt] == ["user", "assistant"] * 2 + ["user"]  # type: ignore[index]
    contents = [message["content"] for message in prompt]  # type: ignore[index]
    assert contents[0] == f"{way.instruction}\n\nWhat is 1 + 2?"
    assert contents[1] == way.written(sum_of(1, 2))
    assert contents[-1] == "What is 5 + 6?"
    assert sum(content.count(way.instruction) for content in contents) == 1


def test_the_instructions_example_is_what_the_calculator_says() -> None:
    instruction = ToolWay().instruction
    ((start, end),) = result_spans(instruction.partition("like this: ")[2], ToolWay().tools)
    assert end - start == len("<result>408</result>")
    assert calculate("12 * 34") == "408"
