"""What an event loop hands to a model's thread, and what comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from candor.engine.reading import Reading
from candor.engine.rows import Alternatives, Request, Row
from candor.serve.errors import RequestError


@dataclass(eq=False, repr=False)  # no log is to show what somebody has asked
class Job:
    """One prompt of an HTTP request.

    Args:
        request: the prompt and what is wanted of it.
        read: score the prompt's own tokens, with so many alternatives each; None: don't.
        draws: whether anything is generated.
        gated: take the gate's reading of the prompt, if the model has a gate.
        streams: hand out each token as it is drawn, not only the ended row.

    Attributes:
        confidence: the gate's reading, once there is one.
    """

    request: Request
    read: int | None = None
    draws: bool = True
    gated: bool = False
    streams: bool = False
    confidence: float | None = None
    abstained: bool = False
    arrived: float = field(default_factory=time.monotonic)
    ticket: Ticket | None = None


@dataclass(frozen=True)
class Read:
    """A prompt has been scored."""

    job: Job
    reading: Reading  # of all tokens but the first, which has nothing before it


@dataclass(frozen=True)
class Drawn:
    """A row has got a token.

    `piece` is the text that can be shown now; it belongs to tokens up to this one.
    """

    job: Job
    row: Row
    token: int
    logprob: float
    top: Alternatives | None
    piece: str
    finish: str | None  # why the row ended with this token


@dataclass(frozen=True)
class Ended:
    """A row has got its last token; nothing changes it any more."""

    job: Job
    row: Row


@dataclass(frozen=True)
class Abstained:
    """The gate holds the reply back; the job's rows stay empty."""

    job: Job


Event = Read | Drawn | Ended | Abstained


class Ticket:
    """An HTTP request's claim on its jobs' events; iterate over it until all jobs are done."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | RequestError] = asyncio.Queue()
        self._left = sum((job.read is not None) + (job.request.fan_out if job.draws else 0) for job in jobs)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where its events are wanted."""
        return self._loop

    async def __aiter__(self) -> AsyncIterator[Event]:
        while self._left > 0:
            event = await self._events.get()
            if isinstance(event, RequestError):
                raise event
            if isinstance(event, Abstained):
                self._left -= event.job.request.fan_out
            elif not isinstance(event, Drawn):
                self._left -= 1
            yield event

    def put(self, event: Event | RequestError) -> None:
        """Hand over an event; on the event loop."""
        self._events.put_nowait(event)

    def cancel(self) -> None:
        """Give up what is not done yet; harmless when all is."""
        for job in self._jobs:
            job.request.cancelled = True
