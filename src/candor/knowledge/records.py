"""What the stages of a knowledge run write into its folder, row by row."""

from __future__ import annotations

from typing import Literal

from candor.data.types import Row
from candor.judge import Verdict

Split = Literal["train", "validation", "test"]
Boundary = Literal["known", "unsure", "unknown"]


class Answer(Row):
    """One answer of a model to a question, with the log-probability of each token."""

    text: str
    logprobs: tuple[float, ...] = ()
    finish: Literal["stop", "length"] = "stop"


class ProbeRow(Row):
    """All closed-book answers to one question: the greedy one, then the samples."""

    id: str
    greedy: Answer
    samples: tuple[Answer, ...]
    prompt_tokens: int


class BoundaryRow(Row):
    """Where a question lies: what each answer was judged, and the label that follows from it."""

    id: str
    split: Split
    greedy: Verdict
    samples: tuple[Verdict, ...]
    accuracy: float  # share of right answers among the greedy one and the samples
    label: Boundary
