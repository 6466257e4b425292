"""The way that computes with a calculator: `<calc>12 + 34</calc><result>46</result>`, then the answer.

    way = ToolWay()
    engine.generate([way.prompt(problem, shown)], Sampling(max_tokens=64, tools=way.tools))

Whoever asks gives the engine the way's `tools`; without them a model has to make the results up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from candor.engine.protocol import Message, Prompt
from candor.reasoning.ways.answers import MARK
from candor.rl.problem import Problem
from candor.tools import Calculator, Tool, calculate

_ERROR = "error:"
_PLAIN = Calculator()
# Arithmetic in words and signs; what stands between two other words is an expression if the calculator
# can read it.
_WORDS = {
    r"\bplus\b": "+",
    r"\bminus\b": "-",
    r"\b(?:times|multiplied by)\b": "*",
    r"\bdivided by\b": "/",
}
_ARITHMETIC = re.compile(r"[-−(+]*[0-9.][-0-9.,+*/()^×·÷− ]*")
_OPERATOR = re.compile(r"[0-9)][ ]*[-+*/^×·÷−]")


@dataclass(frozen=True)
class ToolWay:
    """Asks for a calculation by the calculator and reads the answer behind it.

    Args:
        tool: the calculator, with the marks that the model has (see `candor.tools.named_tools`).
        chat: ask in messages; otherwise in plain text, for base models.
    """

    tool: Tool = _PLAIN
    chat: bool = True
    name: str = "tool"

    @property
    def tools(self) -> tuple[Tool, ...]:
        """For `Sampling.tools`."""
        return (self.tool,)

    @property
    def instruction(self) -> str:
        """How the calculator is used, as the model is told."""
        call, result = self._call("12 * 34"), calculate("12 * 34")
        return (
            "You have a calculator. Write an expression between "
            f"{self.tool.opening} and {self.tool.closing}, and its result appears behind it, like this: "
            f"{call}{self._result(result)}. Then give the answer behind '{MARK}'."
        )

    def prompt(self, problem: Problem, shown: Sequence[Problem] = ()) -> Prompt:
        """The calculator explained, solved problems that use it, and the question."""
        asked = [*shown, problem]
        if not self.chat:
            blocks = [f"Question: {one.question}\n{self.written(one)}" for one in shown]
            return "\n\n".join([self.instruction, *blocks, f"Question: {problem.question}\n"])
        messages: list[Message] = []
        for place, one in enumerate(asked):
            lead = f"{self.instruction}\n\n" if place == 0 else ""
            messages.append(Message(role="user", content=f"{lead}{one.question}"))
            if place < len(shown):
                messages.append(Message(role="assistant", content=self.written(one)))
        return messages

    def written(self, problem: Problem) -> str:
        """The call that gives the answer, its result, and the answer.

        A problem whose question has no expression with that value is solved by its steps, without a call.
        """
        expression = expression_of(problem.question)
        answer = f"{MARK} {problem.answer}"
        if expression is not None and calculate(expression) == calculate(problem.answer):
            return f"{self._call(expression)}{self._result(calculate(expression))}\n{answer}"
        return f"{problem.steps}\n{answer}" if problem.steps else answer

    def read(self, completion: str) -> str | None:
        """What stands behind the last "Answer:", else the last result; None where there is neither.

        A base model may go on with a question of its own: nothing behind it is read.
        """
        own = completion.partition("\nQuestion:")[0]
        _, found, behind = own.rpartition(MARK)
        said = behind.strip().partition("\n")[0].strip() if found else ""
        # The end of a sentence is no part of its last number.
        if said := said.removesuffix(".").strip():
            return said
        before, found, behind = own.rpartition(self.tool.result_opening)
        result, closed, _ = behind.partition(self.tool.result_closing)
        called = found and closed and self.tool.closing in before
        return result if called and not result.startswith(_ERROR) else None

    def _call(self, expression: str) -> str:
        return f"{self.tool.opening}{expression}{self.tool.closing}"

    def _result(self, result: str) -> str:
        return f"{self.tool.result_opening}{result}{self.tool.result_closing}"


def expression_of(question: str) -> str | None:
    """The arithmetic in a question, as it stands there ("What is 12 + 34?" has 12 + 34); None without one."""
    for words, sign in _WORDS.items():
        question = re.sub(words, sign, question, flags=re.IGNORECASE)
    found = [match[0].strip(" .,") for match in _ARITHMETIC.finditer(question)]
    usable = [one for one in found if _OPERATOR.search(one) and not calculate(one).startswith(_ERROR)]
    return max(usable, key=len, default=None)
