"""A language model as judge, with the rules where its reply can't be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from candor.engine.protocol import Engine, Message, Prompt, Sampling
from candor.judge.rules import Verdict, judge

Item = tuple[str, Sequence[str], str]  # question, accepted answers, response

_PROMPT = """You grade answers to factual questions.

Question: {question}
Accepted answers (any one suffices): {answers}
Response to grade: {response}

Grade it with one letter:
A: correct. It gives an accepted answer, in any wording, and contradicts none. Hedging is fine.
B: incorrect. It gives another answer, several incompatible answers, or only repeats the question.
C: not attempted. It declines to answer or says that it does not know.

Reply with the letter only."""
_LETTER = re.compile(r"^\W*(?:(?:the )?(?:grade|answer|letter|verdict)(?: is)?\W*)?([ABC])(?![\w'])", re.I)
_VERDICTS = {"A": Verdict.CORRECT, "B": Verdict.INCORRECT, "C": Verdict.NOT_ATTEMPTED}


class LLMJudge:
    """Grades with a model behind any engine: meant for a large local model or a remote one.

    The grading prompt follows the three-way scheme of SimpleQA (Wei et al., 2024). The reply's first letter
    is the verdict; replies without one are judged by the rules and counted in `fallbacks`.

    Args:
        engine: the grading model.
        max_tokens: tokens to read the letter from.
    """

    def __init__(self, engine: Engine, *, max_tokens: int = 4) -> None:
        self.engine = engine
        self.max_tokens = max_tokens
        self.fallbacks = 0

    def judge_many(self, items: Iterable[Item]) -> list[Verdict]:
        """Verdicts in the order of `items` of (question, accepted answers, response)."""
        rows = list(items)
        if not rows:
            return []
        sampling = Sampling(max_tokens=self.max_tokens, temperature=0.0)
        generations = self.engine.generate([self._prompt(*row) for row in rows], sampling)
        verdicts = []
        for row, generation in zip(rows, generations, strict=True):
            verdict = read_letter(generation.completions[0].text)
            if verdict is None:
                self.fallbacks += 1
                verdict = judge(*row)
            verdicts.append(verdict)
        return verdicts

    def _prompt(self, question: str, answers: Sequence[str], response: str) -> Prompt:
        text = _PROMPT.format(
            question=question, answers="; ".join(answers), response=response.strip() or "(empty)"
        )
        if not self.engine.chat:
            return text + "\n\nGrade:"
        message: Message = {"role": "user", "content": text}
        return [message]


def read_letter(reply: str) -> Verdict | None:
    """The verdict that a grading reply opens with, or None where it can't be read."""
    match = _LETTER.match(reply)
    return _VERDICTS[match[1].upper()] if match else None
