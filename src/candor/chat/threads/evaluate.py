"""Asks a model the cases: one call to score, one to generate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from candor.chat.threads.case import Case
from candor.chat.threads.results import ThreadResults, ThreadRow
from candor.core.errors import CandorError
from candor.engine.protocol import Engine, Message, Prompt, Sampling

REPLY_TOKENS = 32  # the checks were written for greedy replies of at most this many tokens


def evaluate(
    engine: Engine,
    cases: Sequence[Case],
    *,
    lead: str = "",
    on_progress: Callable[[int], None] | None = None,
) -> ThreadResults:
    """Have a model answer the cases and weigh the right replies against the distractors'.

    Args:
        engine: of a model with a chat template.
        cases: as `threads.cases` writes them; twins should stay together, or chance is not ½.
        lead: written before each reply that is scored: a space for templates that leave it to the reply,
            as Candor's plain one does.
        on_progress: called with the number of steps done since the last call, of `2 * len(cases)` steps:
            all of the scoring at once, then the replies as they come.

    Raises:
        CandorError: the model has no chat template, or the engine returns no log-probabilities.
    """
    sums = _Sums(engine, lead)
    for case in cases:
        for reply in (case.right, case.wrong):
            sums.want(case.id, case.prompt, reply)
            if case.category != "single":
                sums.want(f"{case.pair} alone", case.last, reply)
    sums.score()
    if on_progress:
        on_progress(len(cases))
    replies = engine.generate(
        [case.prompt for case in cases], Sampling(max_tokens=REPLY_TOKENS), on_progress=on_progress
    )
    rows = []
    for case, generation in zip(cases, replies, strict=True):
        reply = generation.completions[0].text
        alone = None if case.category == "single" else sums.margin(f"{case.pair} alone", case)
        rows.append(
            ThreadRow(
                id=case.id,
                template=case.template,
                category=case.category,
                about=case.about,
                reply=reply,
                passed=case.check.holds(reply),
                margin=sums.margin(case.id, case),
                margin_alone=alone,
            )
        )
    return ThreadResults(engine.model_name, tuple(rows))


class _Sums:
    """Log-probabilities of replies, each asked for once: twins share what is scored without earlier turns.

    That they share it also makes their two margins the same number with opposite signs, to the last bit.
    """

    def __init__(self, engine: Engine, lead: str) -> None:
        self.engine, self.lead = engine, lead
        self.prompts: dict[tuple[str, str], list[Message]] = {}
        self.sums: dict[tuple[str, str], float] = {}

    def want(self, context: str, prompt: list[Message], reply: str) -> None:
        self.prompts.setdefault((context, reply), prompt)

    def score(self) -> None:
        prompts: list[Prompt] = list(self.prompts.values())
        scores = self.engine.score(prompts, [self.lead + reply for _, reply in self.prompts])
        if not all(scores):
            raise CandorError(
                "the engine returned no log-probabilities for a reply",
                fix="use the local engine, or a server that scores prompts",
            )
        self.sums = {key: math.fsum(score) for key, score in zip(self.prompts, scores, strict=True)}

    def margin(self, context: str, case: Case) -> float:
        return self.sums[context, case.right] - self.sums[context, case.wrong]
