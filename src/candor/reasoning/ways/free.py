"""The way of asking in which a model decides itself whether to work a problem out.

The prompt is the bare question. The model may answer at once, or write steps first:

    314159265358=2
    314159265358=>348935163694:2      ">" begins the steps, ":" the answer

The first token decides, and nothing else tells the model which of the two is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence

from candor.core.errors import CandorError
from candor.engine.protocol import Prompt
from candor.rl.problem import Problem

STEPS, ANSWER = ">", ":"


class Free:
    """Answer at once, or steps first: as the model likes."""

    name = "free"
    opening = STEPS  # the first character of a completion with steps, and of no other

    def prompt(self, problem: Problem, shown: Sequence[Problem] = ()) -> Prompt:
        """The question.

        Raises:
            CandorError: solved problems are to be shown; a model of this kind reads one question only.
        """
        if shown:
            raise CandorError("a small model from scratch reads one question", fix="show no solved problems")
        return problem.question

    def written(self, problem: Problem) -> str:
        """Steps and answer; the bare answer of a problem that has no steps."""
        return f"{STEPS}{problem.steps}{ANSWER}{problem.answer}" if problem.steps else problem.answer

    def direct(self, problem: Problem) -> str:
        """The completion that answers at once."""
        return problem.answer

    def read(self, completion: str) -> str | None:
        """What stands behind the last mark; the whole completion if nothing opens steps."""
        head, mark, answer = completion.rpartition(ANSWER)
        unfinished = not mark and (head or answer).startswith(STEPS)
        return None if unfinished else answer or None

    def is_reasoning(self, completion: str) -> bool:
        """Whether steps were begun."""
        return completion.startswith(STEPS)

    def reasons(self, problem: Problem, completion: str) -> bool:
        """The same, as RL asks."""
        return self.is_reasoning(completion)
