"""What both generating endpoints do: look at limits, wait for the model, stop when the client has gone."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from fastapi import Request as HttpRequest
from fastapi.responses import StreamingResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from candor.engine.rows import Request
from candor.serve.answers import DONE, sse
from candor.serve.errors import RequestError, bad
from candor.serve.jobs import Event, Job, Ticket
from candor.serve.served import Encoded, Served
from candor.serve.settings import Settings
from candor.serve.wire import ChatRequest, CompletionRequest

Result = TypeVar("Result")


class GoneError(Exception):
    """The client has closed the connection; nobody is there to answer."""


def seed_of(body: CompletionRequest | ChatRequest) -> int:
    """The request's seed, or one of its own."""
    return secrets.randbits(63) if body.seed is None else body.seed


def check_limits(
    body: CompletionRequest | ChatRequest, settings: Settings, *, completions: int, alternatives: int
) -> None:
    """Refuse what is more than the server takes on.

    Args:
        body: the request.
        settings: the limits.
        completions: that it asks for, in all.
        alternatives: that it asks for at each place.

    Raises:
        RequestError: it is more.
    """
    for param, value, most, what in (
        ("n", completions, settings.max_completions, "completions a request"),
        ("logprobs", alternatives, settings.max_alternatives, "alternatives a token"),
        ("stop", len(body.stop), settings.max_stops, "stop strings"),
        (
            "stop",
            max(map(len, body.stop), default=0),
            settings.max_stop_characters,
            "characters a stop string",
        ),
        ("logit_bias", len(body.logit_bias), settings.max_biases, "biases"),
    ):
        if value > most:
            raise bad(f"{param}: {value} is too many; this server allows {most} {what}", param)


def check_lengths(served: Served, prompts: Sequence[Encoded], max_tokens: int, copies: int) -> None:
    """See that prompts and completions fit the model's context, and the memory for all rows together.

    Raises:
        RequestError: one does not.
    """
    context, most = served.engine.context, served.worker.cache_tokens
    for index, prompt in enumerate(prompts):
        if len(prompt.ids) + max_tokens > context:
            raise bad(
                f"prompt {index} has {len(prompt.ids)} tokens, with {max_tokens} to generate; this model's "
                f"context is {context} tokens",
                "prompt",
                code="context_length_exceeded",
            )
        if copies * (len(prompt.ids) + max_tokens) > most:
            raise bad(
                f"n: {copies} completions of {len(prompt.ids)} + {max_tokens} tokens are more than the "
                f"{most} that this server keeps at once",
                "n",
            )


def check_biases(served: Served, body: CompletionRequest | ChatRequest) -> None:
    """See that biased tokens are the model's.

    Raises:
        RequestError: one is not.
    """
    served.check_ids([*body.logit_bias], "logit_bias")


def job_of(
    prompt: Encoded, body: CompletionRequest | ChatRequest, *, index: int, copies: int, **options: Any
) -> Job:
    """A prompt as the worker takes it."""
    sampling = body.sampling(
        max_tokens=max(1, options.pop("max_tokens")),
        n=copies,
        seed=options.pop("seed"),
        alternatives=options.pop("alternatives"),
    )
    continues = isinstance(body, CompletionRequest)
    request = Request(prompt.ids, [sampling], index=index, watched=True, continues=continues)
    return Job(request, streams=body.stream, **options)


async def finished(http: HttpRequest, ticket: Ticket) -> list[Event]:
    """All events of a request that is not streamed.

    Raises:
        GoneError: the client has gone, and the work has been given up.
        RequestError: the work failed.
    """

    async def collect() -> list[Event]:
        return [event async for event in ticket]

    try:
        return await _or_gone(http, collect())
    finally:
        ticket.cancel()


async def _or_gone(http: HttpRequest, work: Coroutine[Any, Any, Result]) -> Result:
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(http))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise GoneError
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, RequestError):
                await task


async def _gone(http: HttpRequest) -> None:
    """Return when the client has closed the connection; its body has been read before."""
    while (await http.receive())["type"] != "http.disconnect":
        pass


class _Stream(StreamingResponse):
    """Gives the work up however the sending ends, be it before the first piece."""

    def __init__(self, ticket: Ticket, body: AsyncIterator[bytes]) -> None:
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(body, media_type="text/event-stream", headers=headers)
        self._ticket = ticket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ticket.cancel()


def streamed(
    ticket: Ticket, chunks: Callable[[Event], list[dict[str, Any]]], last: Callable[[], list[dict[str, Any]]]
) -> Response:
    """An answer of server-sent events; the work is given up when the client goes.

    Args:
        ticket: of the work.
        chunks: what to send for an event.
        last: what to send at the end.
    """

    async def body() -> AsyncIterator[bytes]:
        try:
            async for event in ticket:
                if found := chunks(event):
                    yield b"".join(map(sse, found))
            yield b"".join(map(sse, last())) + DONE
        except RequestError as error:  # too late for a status of its own
            yield sse(error.body) + DONE

    return _Stream(ticket, body())
