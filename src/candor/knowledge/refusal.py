"""Greedy answers of a model with its own score for refusing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from candor.engine.gate import FIRST_WORD, OPENINGS, REFUSALS, against_refusal
from candor.engine.protocol import Engine, Generation, Sampling
from candor.judge import is_refusal
from candor.knowledge.probe import answer_of, ask
from candor.knowledge.recipe import ProbeSettings
from candor.knowledge.records import Answer
from candor.model.probe import Floats

# All refusals begin with the word whose probability as the first token is the score (see engine.gate).
assert all(wording.startswith(("I ", "I'")) for wording in REFUSALS)


@dataclass(frozen=True)
class Reply:
    """A greedy answer, the probability that the model gave to refusing, and its hidden states."""

    answer: Answer
    refused: bool
    refusal: float  # probability of the refusal's first token; NaN where the engine gave no alternatives
    hidden: np.ndarray | None  # [layer, width]


def reply_to(
    engine: Engine,
    questions: Sequence[str],
    asking: ProbeSettings,
    *,
    layers: Sequence[int] = (),
    max_tokens: int | None = None,
    batch: int = 256,
    on_progress: Callable[[int], None] | None = None,
) -> list[Reply]:
    """Ask questions greedily, in the words of the probing."""
    # Alternatives are wanted for the first token only; asked for at every token they would cost more than
    # the answers. The second setting shares the first one's prefill.
    sampling = [
        Sampling(max_tokens=max_tokens or asking.max_tokens),
        Sampling(max_tokens=1, top_logprobs=OPENINGS),
    ]
    replies = []
    for begin in range(0, len(questions), batch):
        part = questions[begin : begin + batch]
        results = engine.generate([ask(text, asking) for text in part], sampling, hidden_layers=layers)
        replies += [_reply(result) for result in results]
        if on_progress:
            on_progress(len(part))
    return replies


def refusal_logit(replies: Sequence[Reply]) -> Floats:
    """The tuned model's log-odds against refusing, from the first token; NaN without alternatives."""
    return against_refusal(np.array([reply.refusal for reply in replies], dtype=float))


def answers_instead(
    engine: Engine, questions: Sequence[str], asking: ProbeSettings, token: int
) -> list[Answer]:
    """What a tuned model answers where it may not begin with the refusal's first token."""
    if not questions:
        return []
    sampling = Sampling(max_tokens=asking.max_tokens, forbid_first=(token,))
    results = engine.generate([ask(text, asking) for text in questions], sampling)
    return [answer_of(result.completions[0]) for result in results]


def _reply(result: Generation) -> Reply:
    completion, opening = result.completions
    first = opening.top_logprobs[0] if opening.top_logprobs else None
    score = math.nan
    if first is not None:
        score = sum(math.exp(value) for token, value in first.items() if token.strip() == FIRST_WORD)
    answer = answer_of(completion)
    return Reply(answer, is_refusal(answer.text), score, result.hidden)
