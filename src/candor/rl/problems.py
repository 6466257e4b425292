"""Which problems a run learns from, which it holds out, and which it shows in its prompts."""

from __future__ import annotations

from dataclasses import dataclass

from candor.core.errors import CandorError
from candor.rl.problem import Problem, Task

# Seeds of the three kinds, far from those of steps.
_HELD_OUT, _SHOWN = 1_000_000_007, 1_000_000_009


@dataclass(frozen=True)
class ProblemSet:
    """A task's problems, divided by id.

    Attributes:
        shown: solved in front of every prompt.
        held_out: never learned from.
    """

    task: Task
    seed: int
    shown: tuple[Problem, ...]
    held_out: tuple[Problem, ...]

    @classmethod
    def of(cls, task: Task, *, held_out: int, shots: int, seed: int) -> ProblemSet:
        """Divide.

        Raises:
            CandorError: the task has too few problems.
        """
        shown = task.problems(shots, _SHOWN + seed) if shots else []
        names = {one.id for one in shown}
        asked = task.problems(held_out + shots, _HELD_OUT + seed)
        rest = [one for one in asked if one.id not in names][:held_out]
        if len(rest) < min(held_out, 2):
            raise CandorError(
                f"the task {task.name} has {len(asked)} problems: too few to hold some out",
                fix="choose a larger task, or fewer --shots",
            )
        return cls(task, seed, tuple(shown), tuple(rest))

    def step(self, number: int, count: int) -> list[Problem]:
        """The problems of a step, from its number alone.

        Raises:
            CandorError: the task has not so many beside those held out.
        """
        apart = {one.id for one in (*self.shown, *self.held_out)}
        seed = self.seed * 1_000_003 + number + 1
        for more in (0, len(apart)):
            found = [one for one in self.task.problems(count + more, seed) if one.id not in apart]
            if len(found) >= count:
                return found[:count]
        raise CandorError(
            f"the task {self.task.name} has {len(found)} problems beside the {len(apart)} that are held out; "
            f"a step wants {count}",
            fix=f"hold out fewer (--set rl.held_out={max(1, len(self.held_out) // 4)}) or ask fewer in a "
            f"step (--set rl.prompts={max(1, len(found))})",
        )
