"""Problems with one right answer, who sets them, and ways to ask for the answer.

A task knows nothing of how it is asked, and a way nothing of what is right; evaluation and RL take one of
each. Every task can be asked in every way that its problems have the parts for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from candor.data.types import NonEmpty, Row
from candor.engine.protocol import Prompt


class Problem(Row):
    """One problem.

    `question` stands by itself ("What is 12 + 34?", or "12+34=" for a model that knows nothing else);
    `answer` is the right answer in its shortest form, empty where there is no one right answer; `steps` a
    worked way to it that does not say the answer as such, empty where the task has none; `kind` is what
    accuracy is split by ("3 digits").
    """

    id: NonEmpty
    question: NonEmpty
    answer: str = ""
    steps: str = ""
    kind: str = ""


class Task(Protocol):
    """Sets problems and says what is right."""

    @property
    def name(self) -> str:
        """As a user names it: `addition:3`."""
        ...

    def problems(self, count: int, seed: int) -> list[Problem]:
        """So many problems, without doubles, the same for the same seed; fewer where there are no more.

        Problems of different seeds may be the same ones: whoever holds some out compares their ids.
        """
        ...

    def right(self, problem: Problem, answer: str) -> bool:
        """Whether an answer, as a way read it from a completion, is right. Exact; never asks a model."""
        ...


class Way(Protocol):
    """Asks for an answer in one way, and reads it."""

    @property
    def name(self) -> str:
        """As a user names it: `steps`."""
        ...

    def prompt(self, problem: Problem, shown: Sequence[Problem] = ()) -> Prompt:
        """What the model is given; solved problems in `shown` come first, asked in the same way."""
        ...

    def written(self, problem: Problem) -> str:
        """What a perfect completion says, from which `read` gives the problem's answer."""
        ...

    def read(self, completion: str) -> str | None:
        """The answer that a completion gives; None where it gives none."""
        ...
