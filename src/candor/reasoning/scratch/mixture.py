"""What a model is pretrained on: mostly short answers, and a share of worked ones.

All answers are right. What makes a short answer to twelve digits nearly worthless as a lesson is that the
model can't find out how it came about. So a model pretrained on the mixture answers at once most of the time,
with an answer that is a guess, and works the rest out: as people's writing mostly states results.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass

from candor.core.errors import CandorError
from candor.reasoning.ways.free import Free
from candor.rl.problem import Problem, Task


@dataclass(frozen=True)
class Lesson:
    """One question with what is to be written."""

    problem: Problem
    completion: str

    @property
    def pair(self) -> tuple[str, str]:
        """Question and completion."""
        return self.problem.question, self.completion


class Without:
    """A task less some of its problems, which are held out."""

    def __init__(self, task: Task, held_out: Collection[str]) -> None:
        self._task, self._held_out = task, frozenset(held_out)

    @property
    def name(self) -> str:
        """The task's."""
        return self._task.name

    def problems(self, count: int, seed: int) -> list[Problem]:
        """So many problems that are not held out; fewer where there are no more."""
        found = self._task.problems(count + len(self._held_out), seed)
        return [problem for problem in found if problem.id not in self._held_out][:count]

    def right(self, problem: Problem, answer: str) -> bool:
        """As the task has it."""
        return self._task.right(problem, answer)


def mixture(task: Task, way: Free, count: int, demonstrations: float, seed: int) -> list[Lesson]:
    """Lessons in a random order, of which exactly the given share, rounded, is worked out step by step.

    Args:
        task: sets the problems.
        way: writes them.
        count: lessons; fewer where the task has fewer problems.
        demonstrations: share that is worked out, 0 to 1.
        seed: of the problems and of which are worked out.

    Raises:
        CandorError: the task has no problem left.
    """
    problems = task.problems(count, seed)
    if not problems:
        raise CandorError(
            f"{task.name}: all of its problems are held out", fix="choose longer questions, or hold out fewer"
        )
    worked = set(random.Random(seed).sample(range(len(problems)), round(demonstrations * len(problems))))
    return [
        Lesson(problem, way.written(problem) if number in worked else way.direct(problem))
        for number, problem in enumerate(problems)
    ]
