"""Arithmetic that models write, read by a parser of its own and computed exactly.

    expression := term (("+" | "-") term)*
    term       := signed (("*" | "/") signed)*
    signed     := ("-" | "+") signed | power
    power      := atom ("**" signed)?                    so that -2 ** 2 is -4, and 2 ** -1 is a half
    atom       := number | "(" expression ")"

Numbers are decimals, with thousands separators (1,234.5) or a power of ten (1.5e-3). ×, ·, x, ÷, ^, − and an
equals sign at the end are read as people mean them. Everything is bounded before it is computed: a text of
any kind takes microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

# Characters of an expression, brackets and signs inside each other, and digits of every number on the way
# (of a fraction's numerator and of its denominator).
CHARACTERS, DEPTH, DIGITS = 256, 32, 200

_LIMIT = 10**DIGITS
_MOST_BITS = _LIMIT.bit_length()
_SPELT = str.maketrans({"×": "*", "·": "*", "x": "*", "X": "*", "÷": "/", "−": "-", "–": "-", "\u00a0": " "})
_TOKEN = re.compile(
    r"\s*(?:"
    r"(?P<number>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?"
    r"|\.[0-9]+(?:[eE][+-]?[0-9]{1,3})?)"
    r"|(?P<operator>\*\*|[-+*/()^])"
    r"|(?P<other>\S)"
    r")"
)


class ExpressionError(ValueError):
    """What is wrong with an expression, in a few words that a model can read."""


def evaluate(text: str) -> Fraction:
    """The exact value of an expression.

    Raises:
        ExpressionError: it is not one, divides by zero, or goes beyond the limits.
    """
    if len(text) > CHARACTERS:
        raise ExpressionError(f"longer than {CHARACTERS} characters")
    return _Parser(_tokens(text)).whole()


def _tokens(text: str) -> list[str]:
    text = text.translate(_SPELT).strip().removesuffix("=").rstrip()
    found, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        assert match is not None  # any visible character is a token, and none is left behind the last
        if match["other"]:
            shown = match["other"] if match["other"].isprintable() else "a character"
            raise ExpressionError(f"can't read {shown!r}" if len(shown) == 1 else f"can't read {shown}")
        found.append("**" if match["operator"] == "^" else match["operator"] or match["number"])
        place = match.end()
    if not found:
        raise ExpressionError("nothing to compute")
    return found


class _Parser:
    """Recursive descent: one method for each rule of the grammar."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Fraction:
        value = self._expression()
        if (left := self._next) is not None:
            raise ExpressionError(
                "a bracket is closed that was not opened" if left == ")" else _missing(left)
            )
        return value

    @property
    def _next(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self, *wanted: str) -> str | None:
        """The next token if it is one of these."""
        found = self._next
        if found not in wanted:
            return None
        self._at += 1
        return found

    def _deeper(self, rule: Callable[[], Fraction]) -> Fraction:
        if self._depth >= DEPTH:
            raise ExpressionError(f"nested deeper than {DEPTH}")
        self._depth += 1
        value = rule()
        self._depth -= 1
        return value

    def _expression(self) -> Fraction:
        value = self._term()
        while operator := self._take("+", "-"):
            other = self._term()
            value = _bounded(value + other if operator == "+" else value - other)
        return value

    def _term(self) -> Fraction:
        value = self._signed()
        while operator := self._take("*", "/"):
            other = self._signed()
            if operator == "/" and not other:
                raise ExpressionError("division by zero")
            value = _bounded(value * other if operator == "*" else value / other)
        return value

    def _signed(self) -> Fraction:
        if sign := self._take("-", "+"):
            value = self._deeper(self._signed)
            return -value if sign == "-" else value
        return self._power()

    def _power(self) -> Fraction:
        base = self._atom()
        return _power(base, self._deeper(self._signed)) if self._take("**") else base

    def _atom(self) -> Fraction:
        if self._take("("):
            value = self._deeper(self._expression)
            if not self._take(")"):
                found = self._next
                raise ExpressionError("a bracket is not closed" if found is None else _missing(found))
            return value
        found = self._next
        if found is None:
            raise ExpressionError("it ends where a number is missing")
        if found in {"*", "/", "**", ")"}:
            raise ExpressionError(f"a number is missing before {found!r}")
        self._at += 1
        return _bounded(Fraction(found.replace(",", "")))


def _missing(found: str) -> str:
    shown = found if len(found) <= 12 else f"{found[:12]}…"
    return f"an operator is missing before {shown!r}"


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    """A whole power, whose size is known before it is computed."""
    if exponent.denominator != 1:
        raise ExpressionError("only whole powers")
    if not base and exponent < 0:
        raise ExpressionError("division by zero")
    if base in (0, 1):
        return base if exponent else Fraction(1)
    if base == -1:
        return Fraction(-1 if exponent.numerator % 2 else 1)
    # A number of b bits is at least 2 ** (b - 1).
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if (bits - 1) * abs(exponent.numerator) > _MOST_BITS:
        raise ExpressionError(_TOO_LARGE)
    return _bounded(base**exponent.numerator)


_TOO_LARGE = f"a number of more than {DIGITS} digits"


def _bounded(value: Fraction) -> Fraction:
    if abs(value.numerator) >= _LIMIT or value.denominator >= _LIMIT:
        raise ExpressionError(_TOO_LARGE)
    return value
