"""Sums, differences and products of whole numbers, by how many digits the numbers have."""

from __future__ import annotations

import random
from dataclasses import dataclass

from candor.reasoning.numbers import same_number
from candor.reasoning.tasks.columns import added, multiplied, subtracted
from candor.reasoning.tasks.numbered import in_turn, shares, sizes_of
from candor.rl.problem import Problem

OPERATIONS = {"addition": "+", "subtraction": "-", "multiplication": "*"}
_MOST_DIGITS = 30
_FAMOUS = (123456789, 123456789)  # always among additions of nine digits
_WORKED = {"+": added, "-": subtracted, "*": multiplied}


@dataclass(frozen=True)
class Arithmetic:
    """Both numbers have as many digits; differences are not negative.

    Attributes:
        operation: `addition`, `subtraction` or `multiplication`.
        digits: the numbers of digits, which problems have in equal shares.
        spec: the name as the user wrote it.
    """

    operation: str
    digits: range
    spec: str

    @classmethod
    def of(cls, operation: str, digits: str | None) -> Arithmetic:
        """From the part of a name behind the colon, such as `3` or `1-9`; None: 1-9, products 1-4."""
        last = 4 if operation == "multiplication" else 9
        found = sizes_of(operation, digits, default=(1, last), most=_MOST_DIGITS, what="digits")
        return cls(operation, found, f"{operation}:{digits}" if digits else operation)

    @property
    def name(self) -> str:
        """As the user named it."""
        return self.spec

    def problems(self, count: int, seed: int) -> list[Problem]:
        """Drawn uniformly among the pairs of each number of digits."""
        capacities = [_capacity(digits, self.operation) for digits in self.digits]
        drawn = [
            self._of_size(digits, share, seed)
            for digits, share in zip(self.digits, shares(count, capacities), strict=True)
        ]
        return in_turn(drawn)

    def _of_size(self, digits: int, count: int, seed: int) -> list[Problem]:
        random_ = random.Random(f"{self.operation}:{digits}:{seed}")
        low, high = _ends(digits)
        pairs: dict[tuple[int, int], None] = {}
        if count and self.operation == "addition" and digits == len(str(_FAMOUS[0])):
            pairs[_FAMOUS] = None
        if 2 * count > _capacity(digits, self.operation):  # few are left over: draw from all
            every = [(a, b) for a in range(low, high) for b in range(low, high) if self._fine(a, b)]
            pairs.update(dict.fromkeys(random_.sample(every, len(every))))
        while len(pairs) < count:
            a, b = random_.randrange(low, high), random_.randrange(low, high)
            if self.operation == "subtraction":
                a, b = max(a, b), min(a, b)
            pairs[a, b] = None
        return [self._problem(a, b, digits) for a, b in list(pairs)[:count]]

    def _fine(self, a: int, b: int) -> bool:
        return self.operation != "subtraction" or a >= b

    def _problem(self, a: int, b: int, digits: int) -> Problem:
        sign = OPERATIONS[self.operation]
        result = a + b if sign == "+" else a - b if sign == "-" else a * b
        return Problem(
            id=f"{a}{sign}{b}",
            question=f"What is {a} {sign} {b}?",
            answer=str(result),
            steps=_WORKED[sign](a, b),
            kind="1 digit" if digits == 1 else f"{digits} digits",
        )

    def right(self, problem: Problem, answer: str) -> bool:
        """Whether the answer gives exactly the number."""
        return same_number(answer, problem.answer)


def _ends(digits: int) -> tuple[int, int]:
    """Numbers of so many digits lie in [low, high); 0 has one."""
    return (0 if digits == 1 else 10 ** (digits - 1)), 10**digits


def _capacity(digits: int, operation: str) -> int:
    low, high = _ends(digits)
    size = high - low
    return size * (size + 1) // 2 if operation == "subtraction" else size * size
