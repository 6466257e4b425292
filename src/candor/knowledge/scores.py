"""Scores that rank answers by how likely they are to be right, from what the engine returned."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from candor.engine.endpoint import RefusedError
from candor.engine.protocol import Engine, Message, Sampling
from candor.knowledge.probe import ask
from candor.knowledge.recipe import ProbeSettings
from candor.knowledge.records import ProbeRow

LABELS = {
    "probe": "Probe on the hidden state",
    "probe_tuned": "Probe, tuned model",
    "tuned_refusal": "Tuned model not refusing",
    "combined": "Tuned: probe + refusal",
    "token_probability": "Token probability, mean",
    "sequence_probability": "Sequence probability",
    "first_token_probability": "First token probability",
    "agreement": "Agreement of samples",
    "p_true": "P(True)",
    "question_length": "Question length (trivial)",
    "kind_rate": "Type's hit rate (trivial)",
}

_WORD = re.compile(r"\w+")
_CHECK = "Is that answer correct? Reply with Yes or No."


def answer_scores(row: ProbeRow, question: str) -> dict[str, float]:
    """Scores of a greedy answer that need nothing but the probing; NaN without log-probabilities."""
    logprobs = row.greedy.logprobs
    return {
        "token_probability": sum(logprobs) / len(logprobs) if logprobs else math.nan,
        "sequence_probability": sum(logprobs) if logprobs else math.nan,
        "first_token_probability": logprobs[0] if logprobs else math.nan,
        "agreement": agreement(row, question),
        "question_length": -float(len(question)),
    }


def agreement(row: ProbeRow, question: str) -> float:
    """Mean overlap (token F1, Rajpurkar et al. 2016) of the samples with the greedy answer.

    Words of the question don't count: every answer repeats them.
    """
    asked = set(_words(question))
    greedy = Counter(word for word in _words(row.greedy.text) if word not in asked)
    return sum(_f1(greedy, sample.text, asked) for sample in row.samples) / max(1, len(row.samples))


def _f1(greedy: Counter[str], text: str, asked: set[str]) -> float:
    sample = Counter(word for word in _words(text) if word not in asked)
    if not greedy or not sample:
        return float(greedy == sample)
    shared = sum((greedy & sample).values())
    return 2 * shared / (sum(greedy.values()) + sum(sample.values()))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def p_true(
    engine: Engine, questions: Sequence[str], rows: Sequence[ProbeRow], asking: ProbeSettings
) -> list[float]:
    """P(Yes) / (P(Yes) + P(No)) when the model is asked about its own answer (Kadavath et al. 2022).

    NaN where neither is among the returned alternatives, or the server returns none.
    """
    prompts: list[list[Message]] = []
    for question, row in zip(questions, rows, strict=True):
        prompts.append(
            [
                *ask(question, asking),
                {"role": "assistant", "content": row.greedy.text},
                {"role": "user", "content": _CHECK},
            ]
        )
    try:
        results = engine.generate(prompts, Sampling(max_tokens=1, top_logprobs=20))
    except RefusedError:
        return [math.nan] * len(prompts)  # a server without alternatives: the score is left out
    return [
        _yes(result.completions[0].top_logprobs[0]) if result.completions[0].top_logprobs else math.nan
        for result in results
    ]


def _yes(alternatives: Mapping[str, float]) -> float:
    mass = {"yes": 0.0, "no": 0.0}
    for token, value in alternatives.items():
        word = token.strip().casefold()
        if word in mass:
            mass[word] += math.exp(value)
    total = mass["yes"] + mass["no"]
    return mass["yes"] / total if total > 0 else math.nan
