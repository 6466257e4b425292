"""Calls are found in tokens, whatever their borders are, and results go in behind them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byte_models import byte_tokenizer
from candor.engine.calls import Calls
from candor.engine.text import TokenText
from candor.model.load import load_tokenizer
from candor.tools import Calculator, Tool, ToolLimits

CALCULATOR = Calculator()


def whole(table: TokenText, text: str, tools: tuple[Tool, ...] = (CALCULATOR,), **limits: int) -> str:
    """What becomes of a text that a model writes: its tokens, with those inserted that a call brings."""
    calls, tokens = Calls(table, tools, ToolLimits(**limits)), []
    for token in table.encode(text):
        tokens.append(token)
        assert not calls.take_forced()
        calls.read(token)
        while calls.forced:
            tokens.append(calls.forced[0])
            assert calls.take_forced()
    assert len(calls.inserted) == len(tokens)
    return table.decode(tokens, skip_special=False)


BYTES = TokenText(byte_tokenizer())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<calc>1+1</calc>", "<calc>1+1</calc><result>2</result>"),
        ("é <calc>1+1</calc> 😀", "é <calc>1+1</calc><result>2</result> 😀"),
        ("<calc>1</calc><calc>2</calc>", "<calc>1</calc><result>1</result><calc>2</calc><result>2</result>"),
        ("<calc>1/0</calc>", "<calc>1/0</calc><result>error: division by zero</result>"),
        ("<calc> oh, <calc>2*3</calc>", "<calc> oh, <calc>2*3</calc><result>6</result>"),
        ("</calc> <calc>2</calc>", "</calc> <calc>2</calc><result>2</result>"),
        ("<calc>2</calc", "<calc>2</calc"),
        ("<calc>2</calc></calc>", "<calc>2</calc><result>2</result></calc>"),
    ],
)
def test_a_result_stands_behind_the_call_it_is_of(text: str, expected: str) -> None:
    assert whole(BYTES, text) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text("ab<>/c é", max_size=9), st.integers(0, 10**9)), min_size=1, max_size=4))
def test_prose_around_calls_stays_what_it_is(parts: list[tuple[str, int]]) -> None:
    text = "".join(f"{prose}<calc>{number} * 2</calc>" for prose, number in parts)
    expected = "".join(f"{p}<calc>{n} * 2</calc><result>{2 * n}</result>" for p, n in parts)
    assert whole(BYTES, text) == expected


def test_limits_are_told_to_the_model() -> None:
    call = "<calc>1+1</calc>"
    assert whole(BYTES, 3 * call, calls=2) == (
        2 * f"{call}<result>2</result>" + f"{call}<result>error: too many calls</result>"
    )
    assert whole(BYTES, f"<calc>{'1' * 9}</calc>", characters=8).endswith("error: call too long</result>")
    assert whole(BYTES, "<calc>10**50</calc>", tokens=40).endswith("error: result too long</result>")
    assert whole(BYTES, "<calc>10**9</calc>", tokens=40).endswith("<result>1000000000</result>")


class Echo(Calculator):
    """Gives a call back, as a result that looks like another one."""

    def run(self, text: str) -> str:
        return f"<calc>{text}</calc>"


def test_a_result_never_makes_a_call() -> None:
    assert whole(BYTES, "<calc>7</calc>", (Echo(),)) == "<calc>7</calc><result><calc>7</calc></result>"


def test_two_tools_are_told_apart_by_their_marks() -> None:
    other = Echo("echo", "[", "]", "{", "}")
    text = whole(BYTES, "<calc>1+1</calc>[<calc>2</calc>]", (CALCULATOR, other))
    assert text == "<calc>1+1</calc><result>2</result>[<calc>2</calc><result>2</result>]"
    assert whole(BYTES, "[x]", (CALCULATOR, other)) == "[x]{<calc>x</calc>}"


def test_a_token_that_closes_a_call_and_begins_the_result_is_completed(smollm2: str) -> None:
    """SmolLM2 writes "><" as one token: it has begun what the engine inserts."""
    table = TokenText(load_tokenizer(smollm2))
    shown = "<calc>12 * 34</calc><result>408</result>"
    tokens = table.encode(shown)
    (place,) = [i for i, token in enumerate(tokens) if table.bytes_of(token) == b"><"]
    calls = Calls(table, (CALCULATOR,), ToolLimits())
    for token in tokens[: place + 1]:
        calls.take_forced()
        calls.read(token)
    assert [*tokens[: place + 1], *calls.forced] == tokens
    assert whole(table, "<calc>12 * 34</calc>") == shown


def test_control_tokens_as_marks_stay_in_a_completions_text() -> None:
    tokenizer = byte_tokenizer()
    tool = Calculator.by_tokens()
    marks = [tool.opening, tool.closing, tool.result_opening, tool.result_closing]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})  # type: ignore[dict-item]
    table = TokenText(tokenizer)
    calls = Calls(table, (tool,), ToolLimits())
    tokens = table.encode("<|calc|>6*7<|/calc|>")
    assert len(tokens) == 5
    for token in tokens:
        calls.take_forced()
        calls.read(token)
    tokens += calls.forced
    assert [table.special(token) for token in calls.forced] == [True, False, False, True]
    text = "<|calc|>6*7<|/calc|><|result|>42<|/result|>"
    end = tokenizer.eos_token_id
    assert table.decode([*tokens, end], shown=calls.shown) == text
    stream = table.stream(shown=calls.shown)
    assert "".join(map(stream.push, [*tokens, end])) == text
    assert table.decode(tokens) == "6*742", "without the tools they are no part of it"
