"""Which is larger, 9.9 or 9.11? As a number the first; as a version, or a verse, the second comes later.

Models are said to answer 9.11 because they have read of so many versions and verses. So the same pairs are
asked in four contexts, and it is told apart by which logic a model picks: `chosen`.

In half of the pairs the two logics conflict: then the shorter one is larger as a number, and the longer one
later as a version; that is what a conflict is. In the other half they agree, on the shorter one as often as
on the longer one. In each, what is right by the logic of numbers stands first as often as second.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from fractions import Fraction

from candor.core.errors import InputError
from candor.rl.problem import Problem

# How each context asks, and whether numbers are compared there piece by piece, as versions are.
CONTEXTS = {
    "neutral": ("Which is larger, {a} or {b}?", False),
    "decimal": ("Which decimal number is larger, {a} or {b}?", False),
    "version": ("Which software version is later, {a} or {b}?", True),
    "verse": ("Which Bible verse comes later in its book, {a} or {b}?", True),
}
_FAMOUS = ("9.9", "9.11")
# A pair's sort and whether the larger number stands first: eight in a row are balanced.
_CYCLE = (
    *(("conflict", True), ("long", False), ("conflict", False), ("short", True)),
    *(("conflict", False), ("long", True), ("conflict", True), ("short", False)),
)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)+|[0-9]+")
_LESS = re.compile(r"\b(?:smaller|less|lower|earlier|before|older|precedes|shorter)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Decimals:
    """The same pairs in each context, in turn; 9.9 and 9.11 are the first pair."""

    contexts: tuple[str, ...]
    spec: str

    @classmethod
    def of(cls, context: str | None) -> Decimals:
        """All contexts, or the one named.

        Raises:
            InputError: there is no such context.
        """
        if context is None:
            return cls(tuple(CONTEXTS), "decimals")
        if context not in CONTEXTS:
            raise InputError(
                f"'decimals:{context}' names no context",
                field="tasks",
                fix=f"write decimals, or decimals: and one of {', '.join(CONTEXTS)}",
            )
        return cls((context,), f"decimals:{context}")

    @property
    def name(self) -> str:
        """As the user named it."""
        return self.spec

    def problems(self, count: int, seed: int) -> list[Problem]:
        """Pairs with whole parts from 1 to 20; at most 4,000 pairs, each in every context."""
        random_ = random.Random(f"decimals:{seed}")
        known: set[frozenset[str]] = set()
        found: list[Problem] = []
        for place in range(min(-(-count // len(self.contexts)), 4000)):
            sort, first = _CYCLE[place % len(_CYCLE)]
            larger, smaller = _FAMOUS if place == 0 else _drawn(sort, random_)
            while frozenset((larger, smaller)) in known:
                larger, smaller = _drawn(sort, random_)
            known.add(frozenset((larger, smaller)))
            a, b = (larger, smaller) if first else (smaller, larger)
            found += [_problem(a, b, context) for context in self.contexts]
        return found[:count]

    def right(self, problem: Problem, answer: str) -> bool:
        """Whether the answer chooses the right one."""
        return chosen(problem, answer) == problem.answer


def chosen(problem: Problem, answer: str) -> str | None:
    """Which of a problem's two numbers an answer says is larger or later, None if neither is named.

    "9.9 is larger than 9.11" chooses 9.9, "9.9 is less than 9.11" the other; of numbers that are neither,
    nothing is chosen. 9.90 is 9.9 among numbers, and another version.
    """
    pair = named(problem)
    line = next((line for line in answer.splitlines() if _NUMBER.search(line)), "")
    said = [(match, _meant(match[0], pair, problem)) for match in _NUMBER.finditer(line)]
    known = [(match, number) for match, number in said if number is not None]
    if not known:
        return None
    (first, number), others = known[0], {other for _, other in known[1:]}
    if others - {number}:
        second = next(match for match, other in known if other != number)
        if _LESS.search(line[first.end() : second.start()]):
            return next(iter(others - {number}))
    return number


def named(problem: Problem) -> tuple[str, str]:
    """The two numbers of a problem as it writes them."""
    a, b = _NUMBER.findall(problem.question)
    return a, b


def later_as_version(a: str, b: str) -> str:
    """The one that comes later when the parts between points are compared one by one."""
    return max(a, b, key=lambda text: [int(part) for part in text.split(".")])


def conflicting(problem: Problem) -> bool:
    """Whether the larger number is not the later version."""
    pair = named(problem)
    return max(pair, key=Fraction) != later_as_version(*pair)


def _meant(text: str, pair: tuple[str, str], problem: Problem) -> str | None:
    if text in pair:
        return text
    if CONTEXTS[problem.kind.partition(",")[0]][1] or text.count(".") > 1:
        return None
    return next((one for one in pair if Fraction(one) == Fraction(text)), None)


def _drawn(sort: str, random_: random.Random) -> tuple[str, str]:
    """A pair of a sort, the larger number first: one has a digit behind the point, the other two."""
    whole, digit = random_.randint(1, 19), random_.randint(2, 9)
    if sort == "conflict":
        return f"{whole}.{digit}", f"{whole}.{random_.randint(10, 10 * digit - 1)}"
    if sort == "long":
        digit = random_.randint(1, 8)
        return f"{whole}.{random_.randint(10 * digit + 1, 99)}", f"{whole}.{digit}"
    return f"{whole + 1}.{digit}", f"{whole}.{random_.randint(10, 99)}"


def _problem(a: str, b: str, context: str) -> Problem:
    words, piecewise = CONTEXTS[context]
    number, version = max((a, b), key=Fraction), later_as_version(a, b)
    return Problem(
        id=f"{context}:{a}:{b}",
        question=words.format(a=a, b=b),
        answer=version if piecewise else number,
        steps=_compared(a, b) if piecewise else _padded(a, b),
        kind=f"{context}, {'conflict' if number != version else 'agree'}",
    )


def _padded(a: str, b: str) -> str:
    longest = max(len(text.partition(".")[2]) for text in (a, b))
    left, right = (
        f"{whole}.{tail.ljust(longest, '0')}" for whole, _, tail in (text.partition(".") for text in (a, b))
    )
    sign = ">" if Fraction(left) > Fraction(right) else "<"
    return f"With as many digits behind the point: {left} and {right}.\n{left} {sign} {right}"


def _compared(a: str, b: str) -> str:
    (one, _, two), (three, _, four) = a.partition("."), b.partition(".")
    if one != three:
        return f"Before the point: {one} {'>' if int(one) > int(three) else '<'} {three}"
    return (
        f"Before the point: {one} = {three}\n"
        f"Behind it, as whole numbers: {two} {'>' if int(two) > int(four) else '<'} {four}"
    )
