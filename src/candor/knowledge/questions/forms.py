"""What the rules that turn a clause round are given, and what they give."""

from __future__ import annotations

from dataclasses import dataclass

from candor.knowledge.questions.spans import Span


@dataclass(frozen=True)
class Context:
    """What a rule may look at besides the clause.

    Attributes:
        span: the answer.
        text: the passage.
        title: its document's title.
        who: what a model said the answer's name is, see `turn`.
    """

    span: Span
    text: str
    title: str
    who: str | None


@dataclass(frozen=True)
class Form:
    """A question made from a clause.

    Attributes:
        question: the whole clause turned round.
        kind: the question word or phrase, in lower case.
    """

    question: str
    kind: str
