"""Additions for a model from scratch, in three formats; training sets with balanced digits and carries.

    plain       123+456=579              the highest digit first, though it depends on all the others
    reversed    123+456=975              the lowest digit first: each depends on its column and a carry
    scratchpad  123+456=90,70,50:579     from the right, each column's digit and carry; then the sum

After Lee et al. 2023, "Teaching Arithmetic to Small Transformers" (their simplified scratchpad names digits
and carries in words; here a column is two digits and a comma).
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from candor.core.errors import CandorError
from candor.engine.protocol import Prompt
from candor.rl.problem import Problem

ALPHABET = "0123456789+=,:"
Format = Literal["plain", "reversed", "scratchpad"]
FORMATS: tuple[Format, ...] = get_args(Format)
# Draws in a row that bring nothing new: then a kind of additions is taken to be used up.
_PATIENCE = 2000


def addition(one: int, other: int) -> Problem:
    """The problem of adding two numbers; its steps are each column's digit and carry, from the right."""
    columns, carry = [], 0
    width = max(len(str(one)), len(str(other)))
    for place in range(width):
        carry, digit = divmod(one // 10**place % 10 + other // 10**place % 10 + carry, 10)
        columns.append(f"{digit}{carry}")
    return Problem(
        id=f"{one}+{other}",
        question=f"{one}+{other}=",
        answer=str(one + other),
        steps=",".join(columns),
        kind=f"{width} digits",
    )


def carries(one: int, other: int) -> int:
    """Columns of the sum that carry."""
    return sum(part.endswith("1") for part in addition(one, other).steps.split(","))


@dataclass(frozen=True)
class Written:
    """The way of asking in one format."""

    name: Format

    def prompt(self, problem: Problem, shown: Sequence[Problem] = ()) -> Prompt:
        """The question, behind solved ones."""
        return "".join(f"{one.question}{self.written(one)}" for one in shown) + problem.question

    def written(self, problem: Problem) -> str:
        """The sum as the format has it."""
        if self.name == "scratchpad":
            return f"{problem.steps}:{problem.answer}"
        return problem.answer[::-1] if self.name == "reversed" else problem.answer

    def read(self, completion: str) -> str | None:
        """The sum as it is usually written; None if a scratchpad comes to none."""
        if self.name == "scratchpad":
            return completion.partition(":")[2] or None
        return (completion[::-1] if self.name == "reversed" else completion) or None


@dataclass(frozen=True)
class Additions:
    """Additions of two numbers of equally many digits, drawn evenly among all that there are."""

    digits: int

    @property
    def name(self) -> str:
        """Such as `scratch-addition:3`."""
        return f"scratch-addition:{self.digits}"

    @property
    def numbers(self) -> range:
        """All numbers of so many digits; with one digit, 0 too."""
        return range(0 if self.digits == 1 else 10 ** (self.digits - 1), 10**self.digits)

    def problems(self, count: int, seed: int) -> list[Problem]:
        """So many without doubles; fewer where there are no more."""
        source = random.Random(f"{self.name} {seed}")
        numbers = self.numbers
        pairs = source.sample(range(len(numbers) ** 2), min(count, len(numbers) ** 2))
        return [addition(*(numbers[part] for part in divmod(pair, len(numbers)))) for pair in pairs]

    def right(self, problem: Problem, answer: str) -> bool:
        """Whether it is the sum, digit by digit."""
        return answer == problem.answer


def balanced(count: int, digits: int, seed: int, held_out: Collection[str] = ()) -> list[Problem]:
    """Additions to learn from, balanced as in the paper: by digits, and by carries among those of a length.

    Each length has a tenth of the next one's share, so 10,000 samples of up to 3 digits are 90 of 1 digit,
    901 of 2 and 9,009 of 3; among each length's, additions with 0, 1, … carries are equally many. (Drawn
    evenly, 13 % of the 3-digit additions would have no carry and 16 % three.) Where a short length has not
    so many, the longest has more.

    Args:
        count: samples, all different.
        digits: the longest numbers.
        seed: of the draw.
        held_out: ids of problems that must not be among them.

    Raises:
        CandorError: there are not so many additions of the longest kind.
    """
    source = random.Random(f"balanced additions {digits} {seed}")
    shares = [10.0**length for length in range(1, digits + 1)]
    found: list[Problem] = []
    for length, share in enumerate(shares[:-1], start=1):
        found += _of_length(length, round(count * share / sum(shares)), source, held_out)
    rest = count - len(found)
    found += _of_length(digits, rest, source, held_out)
    if len(found) < count:
        raise CandorError(
            f"there are not {rest:,} additions of {digits} digits, balanced by carries, to learn from",
            fix="ask for fewer samples, or for longer numbers",
        )
    source.shuffle(found)
    return found


def _of_length(digits: int, wanted: int, source: random.Random, held_out: Collection[str]) -> list[Problem]:
    kinds = digits + 1  # 0 to `digits` carries
    found: dict[str, Problem] = {}
    numbers = Additions(digits).numbers
    for carried in range(kinds):
        many = wanted // kinds + (carried < wanted % kinds)
        goal, idle = len(found) + many, 0
        while len(found) < goal and idle < _PATIENCE:
            one, other = _pair(digits, carried, source)
            problem, before = addition(one, other), len(found)
            if one in numbers and other in numbers and problem.id not in held_out:
                found.setdefault(problem.id, problem)
            idle = 0 if len(found) > before else idle + 1
    return list(found.values())


def _pair(digits: int, carried: int, source: random.Random) -> tuple[int, int]:
    """Two numbers whose sum has so many carries: first which columns carry, then digits that do so."""
    chosen = set(source.sample(range(digits), carried))
    one = other = carry = 0
    for place in range(digits):
        carries_on = place in chosen
        while True:
            a, b = source.randrange(10), source.randrange(10)
            if (a + b + carry >= 10) == carries_on:
                break
        one, other, carry = one + a * 10**place, other + b * 10**place, int(carries_on)
    return one, other
