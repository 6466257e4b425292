"""A task at which a random model succeeds half of the time: say a word as even or odd as the last one."""

from __future__ import annotations

import random
from collections.abc import Sequence

from candor.rl.problem import Problem


class Parity:
    name = "parity"

    def problems(self, count: int, seed: int) -> list[Problem]:  # of 308
        draw, found = random.Random(seed), {}
        while len(found) < count:
            a, b = draw.randrange(30, 34), draw.randrange(20, 97)
            found[f"{a}-{b}"] = Problem(id=f"{a}-{b}", question=f"w{b} w{a}", answer=f"w{20 + a % 2}")
        return list(found.values())

    def right(self, problem: Problem, answer: str) -> bool:
        return int(answer[1:]) % 2 == int(problem.question.split("w")[-1]) % 2


class FirstWord:
    name = "first word"

    def prompt(self, problem: Problem, shown: Sequence[Problem] = ()) -> str:
        return " ".join([*(f"{one.question} {one.answer}" for one in shown), problem.question])

    def written(self, problem: Problem) -> str:
        return problem.answer

    def read(self, completion: str) -> str | None:
        words = completion.split()
        return words[0] if words else None
