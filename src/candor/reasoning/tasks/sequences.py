"""Tasks that read a row of symbols and keep a state: easy a symbol at a time, hard all at once.

    digit-sum:12   the sum of 12 digits modulo 10       "314159265358=" → "2"
    parity:16      whether the ones among 16 bits are odd  "0110101101110010=" → "1"
    cups:8         three cups in the order ABC; a, b and c each swap two places (1-2, 2-3, 1-3)
                   "abcaabcb=" → "BCA"

`digit-sum:6-12` draws the length of each question from 6 to 12. `Problem.steps` are the states after each
symbol, one behind the other; the last of them is the answer.

A transformer of fixed depth has to do a row's symbols in parallel if it answers at once: sums and parities
are sums over all positions, which gradient descent is known to find hardly (Shalev-Shwartz et al. 2017,
"Failures of Gradient-Based Deep Learning"), and the cups' swaps don't commute (Liu et al. 2023, "Transformers
Learn Shortcuts to Automata").
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, product

from candor.core.errors import CandorError
from candor.rl.problem import Problem

_LONGEST = 512
_SWAPS = {"a": (0, 1), "b": (1, 2), "c": (0, 2)}


@dataclass(frozen=True)
class Sequence:
    """One kind of row and state, with rows of a length.

    Attributes:
        kind: as a user names it.
        symbols: what a row is made of.
        start: the state before the first symbol.
        follow: the state after a symbol. States of a kind are equally long texts.
        shortest: symbols of a row, at least.
        longest: symbols of a row, at most.
    """

    kind: str
    symbols: str
    start: str
    follow: Callable[[str, str], str]
    shortest: int
    longest: int

    @property
    def name(self) -> str:
        """Such as `parity:16` or `parity:8-16`."""
        lengths = f"{self.shortest}-{self.longest}" if self.shortest < self.longest else f"{self.longest}"
        return f"{self.kind}:{lengths}"

    @property
    def size(self) -> int:
        """How many questions there are."""
        return sum(len(self.symbols) ** length for length in self._lengths)

    @property
    def _lengths(self) -> range:
        return range(self.shortest, self.longest + 1)

    def problems(self, count: int, seed: int) -> list[Problem]:
        """So many problems without doubles; all there are, in some order, where there are no more."""
        source = random.Random(f"{self.name} {seed}")
        if self.size <= 2 * count:
            every = ["".join(row) for length in self._lengths for row in product(self.symbols, repeat=length)]
            source.shuffle(every)
            return [self.problem(row) for row in every[:count]]
        rows: dict[str, None] = {}  # in the order of drawing
        while len(rows) < count:
            rows["".join(source.choices(self.symbols, k=source.choice(self._lengths)))] = None
        return [self.problem(row) for row in rows]

    def problem(self, row: str) -> Problem:
        """The problem of one row of symbols."""
        states = list(accumulate(row, self.follow, initial=self.start))[1:]
        return Problem(
            id=f"{self.kind} {row}",
            question=f"{row}=",
            answer=states[-1],
            steps="".join(states),
            kind=f"{len(row)} symbols",
        )

    def right(self, problem: Problem, answer: str) -> bool:
        """Whether it is the last state."""
        return answer == problem.answer


def _swapped(order: str, swap: str) -> str:
    cups, (one, other) = list(order), _SWAPS[swap]
    cups[one], cups[other] = cups[other], cups[one]
    return "".join(cups)


_KINDS: dict[str, tuple[str, str, Callable[[str, str], str]]] = {
    "digit-sum": ("0123456789", "0", lambda total, digit: str((int(total) + int(digit)) % 10)),
    "parity": ("01", "0", lambda odd, bit: str(int(odd) ^ int(bit))),
    "cups": ("abc", "ABC", _swapped),
}
NAMES = tuple(_KINDS)


def sequence_task(name: str) -> Sequence:
    """The task of a name such as `digit-sum:12`.

    Raises:
        CandorError: there is no such kind, or the length is not one.
    """
    kind, _, lengths = name.partition(":")
    if kind not in _KINDS:
        raise CandorError(f"{name}: no task of the kind '{kind}'", fix=f"there are {', '.join(NAMES)}")
    found = re.fullmatch(r"([0-9]{1,3})(?:-([0-9]{1,3}))?", lengths)
    shortest, longest = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= shortest <= longest <= _LONGEST:
        raise CandorError(
            f"{name}: expected how many symbols a question has, 1 to {_LONGEST}",
            fix=f"write for example {kind}:12, or {kind}:6-12 for several lengths",
        )
    return Sequence(kind, *_KINDS[kind], shortest, longest)
