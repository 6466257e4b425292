"""/v1/chat/completions: messages through the model's chat template; a tuned model's confidence comes along.

A checkpoint that `candor knowledge` tuned has a gate beside it. Its reading of the prompt, before anything is
answered, is the field `candor` of the answer: {"confidence", "threshold", "abstained"}.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastapi import Request as HttpRequest
from starlette.responses import Response

from candor.engine.gate import ABSTENTION
from candor.engine.rows import Row
from candor.serve.answers import chat_logprobs, dumped, envelope, usage
from candor.serve.generation import (
    check_biases,
    check_lengths,
    check_limits,
    finished,
    job_of,
    seed_of,
    streamed,
)
from candor.serve.jobs import Abstained, Drawn, Ended, Event, Job
from candor.serve.served import Encoded, Served
from candor.serve.settings import Settings
from candor.serve.wire import ChatRequest


async def chat(body: ChatRequest, http: HttpRequest, served: Served, settings: Settings) -> Response:
    """Answer a request.

    Raises:
        RequestError: it is refused, or fails.
        GoneError: the client has gone.
    """
    check_limits(body, settings, completions=body.n, alternatives=body.top_logprobs)
    check_biases(served, body)
    tools = None if body.tool_choice == "none" else body.tools
    prompt = await served.run(served.encode_messages, body.messages, tools)
    max_tokens = body.max_completion_tokens or body.max_tokens
    if max_tokens is None:
        max_tokens = max(1, min(settings.chat_tokens, served.engine.context - len(prompt.ids)))
    check_lengths(served, [prompt], max_tokens, body.n)
    job = job_of(
        prompt,
        body,
        index=0,
        copies=body.n,
        max_tokens=max_tokens,
        seed=seed_of(body),
        alternatives=body.top_logprobs,
        gated=True,
    )
    answer = _Answer(body, served, prompt, job)
    ticket = served.worker.submit([job])
    if body.stream:
        return streamed(ticket, answer.chunks, answer.last_chunks)
    events = await finished(http, ticket)
    return Response(await served.run(answer.whole, events), media_type="application/json")


class _Answer:
    """The answer in the making, whole or in chunks."""

    def __init__(self, body: ChatRequest, served: Served, prompt: Encoded, job: Job) -> None:
        self._body, self._served, self._prompt, self._job = body, served, prompt, job
        kind = "chat.completion.chunk" if body.stream else "chat.completion"
        self._head = envelope(kind, "chatcmpl", served.name)
        self._begun = False
        self._drawn = 0

    def _gate(self) -> dict[str, Any]:
        """The gate's reading, for models that have one."""
        worker, confidence = self._served.worker, self._job.confidence
        if worker.gate is None or confidence is None:
            return {}
        below = worker.gate.threshold if worker.abstain_below is None else worker.abstain_below
        return {
            "candor": {
                "confidence": None if math.isnan(confidence) else round(confidence, 4),
                "threshold": round(below, 4),
                "abstained": self._job.abstained,
            }
        }

    # --- in one piece -------------------------------------------------------------------------------

    def whole(self, events: Sequence[Event]) -> bytes:
        """The answer, as JSON."""
        rows = sorted((event.row for event in events if isinstance(event, Ended)), key=lambda row: row.place)
        if self._job.abstained:
            choices = [self._choice(place, ABSTENTION, "stop", None, []) for place in range(self._body.n)]
        else:
            choices = [self._of_row(row) for row in rows]
        counted = usage(len(self._prompt.ids), sum(len(row.tokens) for row in rows))
        return dumped(self._head | {"choices": choices, "usage": counted} | self._gate())

    def _of_row(self, row: Row) -> dict[str, Any]:
        assert row.growing is not None
        logprobs = None
        if self._body.logprobs:
            logprobs = chat_logprobs(self._served.text, row.tokens, row.logprobs, row.top)
        return self._choice(row.place, row.growing.text, row.finish, logprobs, row.tokens)

    def _choice(
        self,
        number: int,
        text: str,
        finish: str | None,
        logprobs: dict[str, Any] | None,
        tokens: Sequence[int],
    ) -> dict[str, Any]:
        choice: dict[str, Any] = {
            "index": number,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": logprobs,
            "finish_reason": finish,
        }
        if self._body.return_token_ids:
            choice |= {"token_ids": list(tokens), "prompt_token_ids": self._prompt.ids}
        return choice

    # --- in chunks ----------------------------------------------------------------------------------

    def chunks(self, event: Event) -> list[dict[str, Any]]:
        """What to send for an event."""
        n = self._body.n
        if isinstance(event, Abstained):
            texts = [self._chunk(place, {"content": ABSTENTION}, "stop") for place in range(n)]
            return [*self._opening(), *texts]
        if not isinstance(event, Drawn):
            return []
        self._drawn += 1
        found = self._opening()
        if not (event.piece or event.finish or self._body.logprobs or self._body.return_token_ids):
            return found
        delta = {"content": event.piece} if event.piece or not event.finish else {}
        chunk = self._chunk(event.row.place, delta, event.finish)
        choice = chunk["choices"][0]
        if self._body.logprobs:
            top = [] if event.top is None else [event.top]
            choice["logprobs"] = chat_logprobs(self._served.text, [event.token], [event.logprob], top)
        if self._body.return_token_ids:
            choice["token_ids"] = [event.token]
        return [*found, chunk]

    def _opening(self) -> list[dict[str, Any]]:
        """The roles, and what the gate said, before anything else."""
        if self._begun:
            return []
        self._begun = True
        opening = {"role": "assistant", "content": ""}
        first, *others = [self._chunk(place, opening, None) for place in range(self._body.n)]
        return [first | self._gate(), *others]

    def _chunk(self, number: int, delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
        choice = {"index": number, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._head | {"choices": [choice]}

    def last_chunks(self) -> list[dict[str, Any]]:
        """What to send at the end."""
        if not self._body.stream_options.include_usage:
            return []
        return [self._head | {"choices": [], "usage": usage(len(self._prompt.ids), self._drawn)}]
