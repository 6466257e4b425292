"""Results are found right behind calls, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.core.errors import CandorError
from candor.tools import Calculator, ToolLimits, named_tools, result_spans
from candor.tools.tool import check_tools

TOOLS = (Calculator(),)


def results(text: str) -> list[str]:
    return [text[start:end] for start, end in result_spans(text, TOOLS)]


PROSE = st.text("ab <>/\n", max_size=12).filter(lambda text: "<calc>" not in text)


@given(st.lists(st.tuples(PROSE, st.integers(0, 99), st.integers(0, 99)), max_size=4), PROSE)
def test_every_result_is_found_with_its_marks(parts: list[tuple[str, int, int]], last: str) -> None:
    text = "".join(f"{prose}<calc>{a}+{b}</calc><result>{a + b}</result>" for prose, a, b in parts) + last
    assert results(text) == [f"<result>{a + b}</result>" for _, a, b in parts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a <result>7</result> without a call", []),
        ("</calc><result>7</result> was never opened", []),
        ("<calc>1</calc> and then <result>7</result>", []),
        ("<calc>1</calc> \n<result>7</result>", [" \n<result>7</result>"]),
        ("<calc>1</calc><result></result>", ["<result></result>"]),
        ("<calc>1</calc> alone", []),
    ],
)
def test_a_result_stands_behind_a_call_that_was_opened(text: str, expected: list[str]) -> None:
    assert results(text) == expected


def test_a_result_that_is_never_closed_is_an_error() -> None:
    with pytest.raises(CandorError, match=r"never closed.*\n.*write </result>"):
        result_spans("<calc>1+1</calc><result>2", TOOLS)


def test_tools_are_called_by_tokens_where_the_vocabulary_has_all_four() -> None:
    marks = ["<|calc|>", "<|/calc|>", "<|result|>", "<|/result|>"]
    assert named_tools(["calculator"], marks) == (Calculator.by_tokens(),)
    assert named_tools(["calculator"], marks[:3]) == (Calculator(),)
    with pytest.raises(CandorError, match=r"no tool 'search'.*\n.*calculator"):
        named_tools(["search"])


@pytest.mark.parametrize(
    "tools",
    [
        (Calculator(opening=""),),
        (Calculator(closing="<calc>"),),
        (Calculator(result_closing=""),),
        (Calculator(), Calculator(name="other")),
    ],
)
def test_marks_that_can_not_be_told_apart_are_refused(tools: tuple[Calculator, ...]) -> None:
    with pytest.raises(CandorError, match="mark"):
        check_tools(tools)
    with pytest.raises(CandorError, match="calls of the tools is 0"):
        ToolLimits(calls=0)
