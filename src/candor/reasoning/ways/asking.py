"""Ways of asking for the same answer: at once, digits reversed, after steps, before an explanation.

    direct       the answer and nothing else
    reversed     the answer's digits, least significant first (Lee et al. 2023, "Teaching Arithmetic to Small
                 Transformers"): a sum can then be written as it is worked out, carry by carry
    steps        worked steps, then the answer (Wei et al. 2022, "Chain-of-Thought Prompting")
    explain      the answer first, then what explains it: all tokens are spent after the commitment
    scratchpad   steps between marks, where nothing counts as an answer (Nye et al. 2021, "Show Your Work")

Each asks a chat model by messages, or a base model by a text that its completion goes on with; solved
problems come first in the same form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from candor.engine.protocol import Message, Prompt
from candor.reasoning.ways.answers import EXPLANATION, MARK, answer_in, missing, own
from candor.rl.problem import Problem

STOPS = ("\nQuestion:",)  # where a base model begins the next problem by itself
_RUN = re.compile(r"[0-9](?:[0-9.,]*[0-9])?")


class Asking:
    """What all ways share; a way says how it instructs, opens, writes and reads.

    Args:
        chat: ask by messages; else by raw text, for base models.

    `read` finds the answer by its mark ("Answer:"), else takes the last number that the completion states,
    or the completion itself if that is a single line (`ways.answers`). It is given nothing of the prompt,
    and passes over questions and calculations without a result that a completion repeats.
    """

    name: str
    instruction: str
    opening: str = MARK  # of a base model's completion: it stands at the end of the prompt
    first: bool = True  # of several marked answers the first counts

    def __init__(self, chat: bool) -> None:
        self.chat = chat

    def prompt(self, problem: Problem, shown: Sequence[Problem] = ()) -> Prompt:
        """Messages, or a text that ends where the completion begins.

        Behind solved problems the instruction stands once, before all: repeated in each turn, it cost
        SmolLM2-135M three quarters of its right sums (5 of 60 against 19).
        """
        if not self.chat:
            solved = "".join(f"{self._asked(one)}{self.written(one)}\n\n" for one in shown)
            return solved + self._asked(problem)
        if not shown:
            return [Message(role="user", content=f"{problem.question}\n{self.instruction}")]
        messages: list[Message] = [Message(role="system", content=self.instruction)]
        for one in shown:
            messages.append(Message(role="user", content=one.question))
            messages.append(Message(role="assistant", content=self.written(one)))
        return [*messages, Message(role="user", content=problem.question)]

    def written(self, problem: Problem) -> str:
        """What a perfect completion says; a base model's begins behind the prompt's opening."""
        text = self.whole(problem)
        return text if self.chat else text.removeprefix(self.opening)

    def read(self, completion: str) -> str | None:
        """The answer that a completion gives; None where it gives none."""
        return answer_in(self.said(completion), first=self.first)

    def closing(self, cut: str) -> str | None:
        """What to append to a completion that was cut, so that its next tokens are its answer.

        Returns:
            "" if it breaks off within its answer, None if it has given it.
        """
        return missing(self.said(cut), first=self.first)

    def whole(self, problem: Problem) -> str:
        """A perfect completion with its opening."""
        return f"{MARK} {problem.answer}"

    def said(self, completion: str) -> str:
        """A completion with the opening that the prompt wrote for it."""
        return completion if self.chat else self.opening + completion

    def _asked(self, problem: Problem) -> str:
        return f"Question: {problem.question}\n{self.opening}"


class Direct(Asking):
    """The answer at once."""

    name = "direct"
    instruction = f'Give the answer at once, as "{MARK} …", and nothing else.'


class Reversed(Asking):
    """The answer at once, its digits least significant first."""

    name = "reversed"
    instruction = (
        f'Give the answer at once, as "{MARK} …", and write its digits backwards, from the last to the first.'
    )

    def whole(self, problem: Problem) -> str:
        """As `Direct`, digits reversed."""
        return f"{MARK} {reversed_digits(problem.answer)}"

    def read(self, completion: str) -> str | None:
        """The answer with its digits turned back."""
        found = super().read(completion)
        return None if found is None else reversed_digits(found)


class Steps(Asking):
    """Worked steps, then the answer."""

    name = "steps"
    instruction = f'Work it out step by step first. Then give the answer in a last line, as "{MARK} …".'
    opening = "Steps:"
    first = False

    def whole(self, problem: Problem) -> str:
        """Steps, and the answer in the last line."""
        worked = f"{problem.steps}\n" if problem.steps else ""
        return f"{self.opening}\n{worked}{MARK} {problem.answer}"


class Explain(Asking):
    """The answer at once, then an explanation; the first answer counts, whatever the explanation finds."""

    name = "explain"
    instruction = f'Give the answer at once, as "{MARK} …". Then explain it in lines after "{EXPLANATION}".'

    def whole(self, problem: Problem) -> str:
        """The answer, then the steps, which end on it again."""
        worked = f"{problem.steps}\n" if problem.steps else ""
        return f"{MARK} {problem.answer}\n{EXPLANATION}\n{worked}So it is {problem.answer}."


class Scratchpad(Steps):
    """Steps between marks, then the answer; nothing within the marks is read."""

    name = "scratchpad"
    begin, end = "<scratch>", "</scratch>"
    instruction = (
        f"Work in a scratchpad first, between {begin} and {end}. "
        f'Then give the answer in a last line, as "{MARK} …".'
    )
    opening = begin

    def whole(self, problem: Problem) -> str:
        """The scratchpad, and the answer behind it."""
        worked = f"{problem.steps}\n" if problem.steps else ""
        return f"{self.begin}\n{worked}{self.end}\n{MARK} {problem.answer}"

    def read(self, completion: str) -> str | None:
        """The answer behind the scratchpad; None if that was opened and not closed."""
        text = own(self.said(completion))
        if self.begin in text and self.end not in text:
            return None
        return answer_in(text.rpartition(self.end)[2])

    def closing(self, cut: str) -> str | None:
        """As the other ways; an open scratchpad is closed first."""
        text = own(self.said(cut))
        if self.begin in text and self.end not in text:
            return f"\n{self.end}\n{MARK}"
        return missing(text.rpartition(self.end)[2], first=False)


def reversed_digits(text: str) -> str:
    """A text with each number's digits, points and commas in reversed order, signs left where they are.

    Its own inverse.
    """
    return _RUN.sub(lambda run: run[0][::-1], text)


ASKING: tuple[type[Asking], ...] = (Direct, Reversed, Steps, Explain, Scratchpad)
