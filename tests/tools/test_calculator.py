"""The calculator computes what Python's fractions do, says errors in words, and is quick on any text."""

from __future__ import annotations

import operator
import time
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from candor.tools import Calculator, Tool, calculate
from candor.tools.calculator import LONGEST, SIGNIFICANT, written
from candor.tools.expression import CHARACTERS, DEPTH, DIGITS, ExpressionError, evaluate

# --- expressions as trees, written down in a way of their own -------------------------------------------

_LIMIT = 10**DIGITS
_OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
# How tightly each binds: sums, products, signs, powers, numbers.
_SUM, _PRODUCT, _SIGN, _POWER, _NUMBER = range(1, 6)


class BeyondError(Exception):
    """A number on the way that the calculator refuses."""


@dataclass(frozen=True)
class Node:
    kind: str  # a number, "neg", "**", or an operator
    parts: tuple[Node, ...] = ()
    text: str = ""
    brackets: bool = False

    @property
    def level(self) -> int:
        return {"number": _NUMBER, "neg": _SIGN, "**": _POWER, "*": _PRODUCT, "/": _PRODUCT}.get(
            self.kind, _SUM
        )

    def value(self) -> Fraction:
        if self.kind == "number":
            return Fraction(self.text.replace(",", ""))
        if self.kind == "neg":
            return -self.parts[0].value()
        left, right = (part.value() for part in self.parts)
        found = left ** int(right) if self.kind == "**" else _OPERATORS[self.kind](left, right)
        if abs(found.numerator) >= _LIMIT or found.denominator >= _LIMIT:
            raise BeyondError
        return Fraction(found)

    def written(self, least: int = _SUM) -> str:
        if self.kind == "number":
            text = self.text
        elif self.kind == "neg":
            text = f"-{self.parts[0].written(_SIGN)}"
        elif self.kind == "**":
            text = f"{self.parts[0].written(_NUMBER)}**{self.parts[1].written(_SIGN)}"
        else:
            # Sums and products group from the left.
            right = self.level + 1
            text = f"{self.parts[0].written(self.level)} {self.kind} {self.parts[1].written(right)}"
        return f"({text})" if self.brackets or self.level < least else text


WHOLE = st.integers(0, 10**12).flatmap(lambda n: st.sampled_from([str(n), f"{n:,}"]))
DECIMALS = st.tuples(WHOLE, st.text("0123456789", min_size=1, max_size=6)).map(".".join)
NUMBERS = st.one_of(st.integers(0, 12).map(str), WHOLE, DECIMALS).map(lambda text: Node("number", text=text))
EXPONENTS = st.integers(0, 9).flatmap(
    lambda n: st.sampled_from([Node("number", text=str(n)), Node("neg", (Node("number", text=str(n)),))])
)
TREES = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.builds(Node, st.just("neg"), st.tuples(inner), brackets=st.booleans()),
        st.builds(
            Node, st.sampled_from(["+", "-", "*", "/"]), st.tuples(inner, inner), brackets=st.booleans()
        ),
        st.builds(Node, st.just("**"), st.tuples(inner, EXPONENTS), brackets=st.booleans()),
    ),
    max_leaves=14,
)


@settings(max_examples=1500, deadline=None)
@given(TREES)
def test_any_expression_has_the_value_of_pythons_fractions(tree: Node) -> None:
    text = tree.written()
    try:
        expected = tree.value()
    except (ZeroDivisionError, BeyondError):
        assert calculate(text).startswith("error: ")
        return
    if len(text) > CHARACTERS:
        assert calculate(text) == f"error: longer than {CHARACTERS} characters"
    elif text.count("(") + text.count("-") + text.count("**") < DEPTH:
        assert evaluate(text) == expected


@settings(max_examples=1500, deadline=None)
@given(st.fractions(), st.integers(-40, 40))
@example(Fraction(1, 18014398509481984000000), -6)  # it ends, behind more decimals than there is room for
@example(Fraction(123456789012345, 7), 0)
def test_results_are_exact_where_they_end_and_else_rounded_to_the_digits_that_are_promised(
    value: Fraction, power: int
) -> None:
    value *= Fraction(10) ** power
    try:
        text = written(value)
    except ExpressionError:
        assert abs(value) >= 10**LONGEST
        return
    error = abs(Fraction(text) - value)
    assert evaluate(text) == Fraction(text), "a result is an expression, so that it can be computed with"
    room = LONGEST - len(str(int(abs(value))))
    if (value * 10**room).denominator == 1:
        assert error == 0, "it has no more decimals than there is room for"
    assert error <= abs(value) / 10 ** (SIGNIFICANT - 1) / 2
    if abs(value) >= 10**SIGNIFICANT:
        assert error <= Fraction(1, 2)
    assert len(text) <= LONGEST + 3


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("123456789 + 123456789", "246913578"),
        ("9.9 - 9.11", "0.79"),
        ("0.1+0.2", "0.3"),
        ("1,234.50 × 2", "2469"),
        ("12+34=", "46"),
        ("7 ÷ 2", "3.5"),
        ("3 x 4 − 5", "7"),
        ("-2**2", "-4"),
        ("2^3^2", "512"),
        ("2 ** -2", "0.25"),
        ("8/4/2", "1"),
        ("1 - 2 - 3", "-4"),
        ("2/3", "0.666666666667"),
        ("-1/3", "-0.333333333333"),
        ("123456789012345/7", "17636684144621"),
        ("1/3/10**30", "3.33333333333e-31"),
        ("1.5e3 * 2", "3000"),
        ("(1 - 1) * -5", "0"),
        ("1/2**50", "0.00000000000000088817841970012523233890533447265625"),
        ("0**0", "1"),
        ("(-1)**123456789", "-1"),
    ],
)
def test_results_as_people_write_them(text: str, result: str) -> None:
    assert calculate(text) == result


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1/0", "division by zero"),
        ("5 / (2 - 2)", "division by zero"),
        ("0**-1", "division by zero"),
        ("", "nothing to compute"),
        (" = ", "nothing to compute"),
        ("(1 + 2", "a bracket is not closed"),
        ("1 + 2)", "a bracket is closed that was not opened"),
        ("2(3)", "an operator is missing before '('"),
        ("12 34", "an operator is missing before '34'"),
        ("1.2.3", "an operator is missing before '.3'"),
        ("1,23", "can't read ','"),
        ("12 + apples", "can't read 'a'"),
        ("3 +", "it ends where a number is missing"),
        ("* 3", "a number is missing before '*'"),
        ("2**0.5", "only whole powers"),
        ("9**9**9", f"a number of more than {DIGITS} digits"),
        ("2**(2**(2**(2**(2**2))))", f"a number of more than {DIGITS} digits"),
        ("10**99 * 10**99 * 10**99", f"a number of more than {DIGITS} digits"),
        ("1e999", f"a number of more than {DIGITS} digits"),
        ("10**60", f"a result of more than {LONGEST} digits"),
        ("1+" * 200 + "1", f"longer than {CHARACTERS} characters"),
        ("(" * (DEPTH + 1) + "1" + ")" * (DEPTH + 1), f"nested deeper than {DEPTH}"),
        ("-" * (DEPTH + 1) + "1", f"nested deeper than {DEPTH}"),
        ("1**" * (DEPTH + 1) + "1", f"nested deeper than {DEPTH}"),
        ("1\x00", "can't read a character"),
        ("٣ + 1", "can't read '٣'"),
    ],
)
def test_errors_are_texts_for_the_model_to_read(text: str, error: str) -> None:
    assert calculate(text) == f"error: {error}"


def test_the_largest_that_is_allowed_is_computed() -> None:
    assert calculate("(" * DEPTH + "1" + ")" * DEPTH) == "1"
    assert calculate("+".join("1" * (CHARACTERS // 2))) == str(CHARACTERS // 2)
    assert calculate("10**59") == "1" + "0" * 59
    assert calculate(f"10**{DIGITS - 1} / 10**{DIGITS - 1}") == "1"


SIGNS = st.text("0123456789+-*/()^.,=eExX ×÷−<>\n", max_size=300)


@settings(max_examples=1500, deadline=None)
@given(st.one_of(SIGNS, st.text(max_size=300)))
@example("9" * CHARACTERS)
@example("9**" * 31 + "9")
@example("(99999**39)" * 20)
@example("1/3" + "+1/7" * 60)
@example("*".join(["(1e99)"] * 30))
@example("-(" * 10_000)
@example("7**-236" + "/7**-236" * 30)
@example("." * CHARACTERS)
@example("1," * 128)
def test_no_text_raises_or_takes_50_milliseconds(text: str) -> None:
    took = []
    for _ in range(3):  # the machine has other work, too
        begun = time.thread_time()
        result = calculate(text)
        took.append(time.thread_time() - begun)
    assert min(took) < 0.05
    assert len(result) <= LONGEST + 3 or result.startswith("error: ")
    assert len(result) < 80
    assert "\n" not in result


def test_the_calculator_is_a_tool_that_can_be_compared() -> None:
    assert isinstance(Calculator(), Tool)
    assert Calculator() == Calculator() != Calculator.by_tokens()
    assert Calculator().run("6*7") == "42"
