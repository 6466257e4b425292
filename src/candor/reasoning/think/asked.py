"""Which problems are asked, which are shown solved, and what a model answered: the rows of a run's files."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from candor.core.errors import CandorError
from candor.data.types import Row
from candor.rl.problem import Problem, Task


class Asked(Row):
    """A problem of a task, to be asked or to be shown solved before others."""

    task: str
    use: Literal["asked", "shown"]
    problem: Problem


class Answered(Row):
    """One problem as a model answered it in one way.

    `prompt` is all that the model was given, as text. `parts` are the question's numbers, or the words it
    quotes, with borders between tokens. `budget` is after how many tokens the completion was cut, None where
    it was not; then `completion` has what was appended and written after the cut, too, and `tokens` counts
    what the model wrote before it.
    """

    task: str
    kind: str
    id: str
    way: str
    question: str
    prompt: str
    completion: str
    answer: str
    read: str | None
    right: bool
    tokens: int
    finished: bool
    parts: tuple[str, ...] = ()
    token_ids: tuple[int, ...] = ()
    budget: int | None = None
    forced: bool = False


def choose(task: Task, count: int, shown: int, seed: int) -> list[Asked]:
    """Problems to ask, and others of as many kinds as there are to show solved.

    Raises:
        CandorError: the task has too few.
    """
    # The more are left over, the more kinds there are to show.
    drawn = task.problems(count + 16 * shown, seed)
    asked = drawn[: max(min(count, len(drawn) - shown), 0)]
    if not asked:
        raise CandorError(
            f"{task.name} has {len(drawn)} problems, too few to show {shown} solved and ask others",
            fix="show fewer: --shown 0 shows none",
        )
    rest = _shown(drawn[len(asked) :], shown, seed)
    return [
        *(Asked(task=task.name, use="asked", problem=problem) for problem in asked),
        *(Asked(task=task.name, use="shown", problem=problem) for problem in rest),
    ]


def _shown(problems: Sequence[Problem], count: int, seed: int) -> list[Problem]:
    """So many, drawn from all kinds in turn."""
    random_ = random.Random(f"shown:{seed}")
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem)
    names = random_.sample(sorted(kinds), len(kinds))
    found: list[Problem] = []
    while len(found) < min(count, len(problems)):
        for name in names:
            if kinds[name] and len(found) < count:
                found.append(kinds[name].pop(0))
    return found
