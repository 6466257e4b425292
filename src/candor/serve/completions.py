"""/v1/completions: text goes on as it is, with no template around it.

Prompts that are echoed with log-probabilities are scored, many in one pass; if no more than one token is to
follow, it comes from the same pass, which is what lm-eval asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request as HttpRequest
from starlette.responses import Response

from candor.engine.reading import Reading
from candor.engine.rows import Row
from candor.serve.answers import Offsets, completion_logprobs, dumped, envelope, usage
from candor.serve.errors import bad
from candor.serve.generation import (
    check_biases,
    check_lengths,
    check_limits,
    finished,
    job_of,
    seed_of,
    streamed,
)
from candor.serve.jobs import Drawn, Ended, Event, Job, Read
from candor.serve.served import Encoded, Served
from candor.serve.settings import Settings
from candor.serve.wire import CompletionRequest

_DEFAULT_TOKENS = 16  # OpenAI's
_JSON = "application/json"


async def complete(
    body: CompletionRequest, http: HttpRequest, served: Served, settings: Settings
) -> Response:
    """Answer a request.

    Raises:
        RequestError: it is refused, or fails.
        GoneError: the client has gone.
    """
    if len(body.prompt) > settings.max_prompts:
        raise bad(
            f"prompt: {len(body.prompt)} prompts are too many; this server allows {settings.max_prompts}",
            "prompt",
        )
    copies = max(body.n, body.best_of or 1)
    check_limits(body, settings, completions=copies * len(body.prompt), alternatives=body.logprobs or 0)
    check_biases(served, body)
    prompts = await served.run(served.encode, body.prompt, body.add_special_tokens)
    max_tokens = _DEFAULT_TOKENS if body.max_tokens is None else body.max_tokens
    check_lengths(served, prompts, max_tokens, copies)
    seed = seed_of(body)
    jobs = [
        job_of(
            prompt,
            body,
            index=index,
            copies=copies,
            max_tokens=max_tokens,
            seed=seed,
            alternatives=body.logprobs or 0,
            read=body.logprobs if body.echo else None,
            draws=max_tokens > 0,
        )
        for index, prompt in enumerate(prompts)
    ]
    answer = _Answer(body, served, prompts, jobs)
    # Without tokens to draw or to score, the answer is the prompt.
    ticket = served.worker.submit([job for job in jobs if job.draws or job.read is not None])
    if body.stream:
        return streamed(ticket, answer.chunks, answer.last_chunks)
    events = await finished(http, ticket)
    return Response(await served.run(answer.whole, events), media_type=_JSON)


class _Answer:
    """The answer in the making, whole or in chunks."""

    def __init__(
        self, body: CompletionRequest, served: Served, prompts: Sequence[Encoded], jobs: Sequence[Job]
    ) -> None:
        self._body, self._text, self._prompts = body, served.text, prompts
        self._place = {job: index for index, job in enumerate(jobs)}
        self._head = envelope("text_completion", "cmpl", served.name)
        self._offsets: dict[Row, Offsets] = {}  # of streams with log-probabilities
        self._echoed: set[int] = set()
        self._drawn = 0

    # --- in one piece -------------------------------------------------------------------------------

    def whole(self, events: Sequence[Event]) -> bytes:
        """The answer, as JSON."""
        readings = {self._place[event.job]: event.reading for event in events if isinstance(event, Read)}
        rows: dict[int, list[Row]] = {index: [] for index in range(len(self._prompts))}
        for event in events:
            if isinstance(event, Ended):
                rows[self._place[event.job]].append(event.row)
        choices: list[dict[str, Any]] = []
        for index in range(len(self._prompts)):
            for row in self._best(rows[index]) or [None] * self._body.n:
                choices.append(self._choice(index, row, readings.get(index), len(choices)))
        drawn = sum(len(row.tokens) for found in rows.values() for row in found)
        return dumped(self._head | {"choices": choices, "usage": self._usage(drawn)})

    def _best(self, rows: list[Row]) -> list[Row]:
        ordered = sorted(rows, key=lambda row: row.place)
        if len(rows) > self._body.n:
            ordered.sort(key=lambda row: -sum(row.logprobs) / len(row.logprobs))
        return ordered[: self._body.n]

    def _choice(self, index: int, row: Row | None, reading: Reading | None, number: int) -> dict[str, Any]:
        prompt, body = self._prompts[index], self._body
        text = row.growing.text if row is not None and row.growing is not None else ""
        tokens = row.tokens if row is not None else []
        start = len(prompt.text) if body.echo else 0
        choice: dict[str, Any] = {
            "index": number,
            "text": prompt.text + text if body.echo else text,
            "logprobs": None,
            "finish_reason": row.finish if row is not None else "length",
        }
        if body.logprobs is not None:
            parts = []
            if reading is not None:
                parts.append(self._prompt_logprobs(index, reading))
            if row is not None:
                offsets = Offsets(row.request.stream(self._text), start)
                at = [min(offsets.of(token), start + len(text)) for token in tokens]
                parts.append(completion_logprobs(self._text, tokens, row.logprobs, row.top, at))
            choice["logprobs"] = _joined(parts)
        if body.return_token_ids:
            choice |= {"token_ids": list(tokens), "prompt_token_ids": prompt.ids}
        return choice

    def _prompt_logprobs(self, index: int, reading: Reading) -> dict[str, Any]:
        prompt = self._prompts[index]
        offsets = Offsets(self._text.stream(skip_special=False))
        at = [0] * prompt.added + [offsets.of(token) for token in prompt.ids[prompt.added :]]
        top = [None, *reading.top] if reading.top else []
        return completion_logprobs(self._text, prompt.ids, [None, *reading.logprobs], top, at)

    def _usage(self, drawn: int) -> dict[str, int]:
        return usage(sum(len(prompt.ids) for prompt in self._prompts), drawn)

    # --- in chunks ----------------------------------------------------------------------------------

    def chunks(self, event: Event) -> list[dict[str, Any]]:
        """What to send for an event."""
        index, body = self._place[event.job], self._body
        if isinstance(event, Read):
            return self._echo(index, event.reading)
        if not isinstance(event, Drawn):
            return []
        self._drawn += 1
        found = self._echo(index, None)
        if not (event.piece or event.finish or body.logprobs is not None or body.return_token_ids):
            return found
        logprobs = None
        if body.logprobs is not None:
            offsets = self._offsets.get(event.row)
            if offsets is None:
                start = len(self._prompts[index].text) if body.echo else 0
                offsets = self._offsets[event.row] = Offsets(event.row.request.stream(self._text), start)
            logprobs = completion_logprobs(
                self._text, [event.token], [event.logprob], [event.top], [offsets.of(event.token)]
            )
        chunk = self._chunk(index * body.n + event.row.place, event.piece, logprobs, event.finish)
        if body.return_token_ids:
            chunk["choices"][0]["token_ids"] = [event.token]
        return [*found, chunk]

    def _echo(self, index: int, reading: Reading | None) -> list[dict[str, Any]]:
        """The prompt, once, as the beginning of each of its completions."""
        if not self._body.echo or index in self._echoed:
            return []
        self._echoed.add(index)
        prompt, n = self._prompts[index], self._body.n
        logprobs = None if reading is None else self._prompt_logprobs(index, reading)
        finish = "length" if self._body.max_tokens == 0 else None
        return [self._chunk(index * n + place, prompt.text, logprobs, finish) for place in range(n)]

    def _chunk(
        self, number: int, text: str, logprobs: dict[str, Any] | None, finish: str | None
    ) -> dict[str, Any]:
        choice = {"index": number, "text": text, "logprobs": logprobs, "finish_reason": finish}
        return self._head | {"choices": [choice]}

    def last_chunks(self) -> list[dict[str, Any]]:
        """What to send at the end."""
        chunks = [chunk for index in range(len(self._prompts)) for chunk in self._echo(index, None)]
        if self._body.stream_options.include_usage:
            chunks.append(self._head | {"choices": [], "usage": self._usage(self._drawn)})
        return chunks


def _joined(parts: Sequence[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    names = ("tokens", "token_logprobs", "top_logprobs", "text_offset")
    return {name: [one for part in parts for one in part[name]] for name in names}
