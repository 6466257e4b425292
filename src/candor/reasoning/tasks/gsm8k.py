"""Problems from files in the format of GSM8K (Cobbe et al. 2021, "Training Verifiers to Solve Math Word
Problems").

A row is {"question": …, "answer": "worked steps\\n#### 72"}; what its calculator annotations say
(<<48/2=24>>) stands in the text, too, and is dropped.
"""

from __future__ import annotations

import random
import re
from functools import cached_property
from pathlib import Path

from candor.core.errors import InputError
from candor.core.files import read_json_lines
from candor.data.rows import text_field
from candor.reasoning.numbers import same_number, shortest, value_of
from candor.rl.problem import Problem

_ANNOTATION = re.compile(r"<<[^<>]*>>")
_MARK = "####"


class Gsm8k:
    """The problems of a file, in an order drawn by the seed.

    Args:
        path: .jsonl or .jsonl.gz.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The file as the user named it."""
        return self.path

    @cached_property
    def _rows(self) -> list[Problem]:
        path = Path(self.path).expanduser()
        found: dict[str, Problem] = {}
        for line, row in read_json_lines(path):
            problem = _problem(row, path, line)
            found.setdefault(problem.question, problem)
        if not found:
            raise InputError(
                "there are no problems in it",
                path=path,
                fix='give rows like {"question": "…", "answer": "steps\\n#### 72"}',
            )
        return list(found.values())

    def problems(self, count: int, seed: int) -> list[Problem]:
        """So many of the file's.

        Raises:
            InputError: the file can't be read or a row is no such problem; it names the file and the line.
        """
        rows = self._rows
        return random.Random(f"gsm8k:{seed}").sample(rows, min(count, len(rows)))

    def right(self, problem: Problem, answer: str) -> bool:
        """Whether the answer gives exactly the number."""
        return same_number(answer, problem.answer)


def _problem(row: dict[str, object], path: Path, line: int) -> Problem:
    question = text_field(row, "question", path, line, required=True) or ""
    worked = text_field(row, "answer", path, line, required=True) or ""
    steps, mark, answer = _ANNOTATION.sub("", worked).rpartition(_MARK)
    value = value_of(answer)
    if not question.strip():
        raise InputError("is empty", path=path, line=line, field="question", fix="write the problem into it")
    if not mark or value is None:
        found = f"found {answer.strip()[:40]!r} behind it" if mark else "found none"
        raise InputError(
            f"expected to end in '{_MARK} ' and a number, {found}",
            path=path,
            line=line,
            field="answer",
            fix=f"end the answer with a line '{_MARK} 72'",
        )
    lines = [step for step in steps.splitlines() if step.strip()]
    return Problem(
        id=f"{path.name}:{line}",
        question=question.strip(),
        answer=shortest(value),
        steps="\n".join(lines),
        kind="1 step" if len(lines) == 1 else f"{len(lines)} steps" if lines else "no steps",
    )
