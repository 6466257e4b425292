"""One worker for each model: it owns the engine, and all requests' prompts go through it together.

    machine = Machine()
    worker = Worker(engine, machine, name="smollm2", settings=Settings(), metrics=Metrics())
    machine.serve([worker])
    ticket = worker.submit([Job(Request(ids, [Sampling()]))])     # on an event loop
    async for event in ticket: ...                                # Read, Drawn, Ended, Abstained

The event loop hands jobs over through a queue and gets events back, those of one step at once. What is to be
scored (echoed prompts with log-probabilities) and what is to be decoded take turns, a bounded pass each, so
that neither waits for all of the other. Within each, first come, first served.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence

import torch

from candor.engine.flow import Flow, Room
from candor.engine.gate import Gate
from candor.engine.local import LocalEngine
from candor.engine.reading import Reading
from candor.engine.rows import Request, Row, draw_rows, settings_of_rows
from candor.serve.errors import RequestError, internal
from candor.serve.jobs import Abstained, Drawn, Ended, Event, Job, Read, Ticket
from candor.serve.machine import Machine
from candor.serve.metrics import Metrics
from candor.serve.settings import Settings

_log = logging.getLogger(__name__)

# Prompt tokens of one pass: fewer while others wait for their next token meanwhile.
_PASS_TOKENS, _PASS_TOKENS_BUSY = 2048, 512
# Steps between two groups of prompts that join a running batch: each is a pass over all weights.
_PAUSE = 1
# Above so many parameters a second copy of the weights, laid out for the decode step, costs too much memory.
_MOST_PREPARED = 2_000_000_000


class Worker:
    """The work of one model.

    Args:
        engine: nothing else may use it from now on.
        machine: whose thread does the work.
        name: the model's name here.
        settings: limits.
        metrics: where to count.
        gate: the checkpoint's own, if it has one.
        abstain_below: confidence below which a gated reply is held back; None: never.
        cache_tokens: tokens of all rows together that memory has room for; None: what the settings allow.
    """

    def __init__(
        self,
        engine: LocalEngine,
        machine: Machine,
        *,
        name: str,
        settings: Settings,
        metrics: Metrics,
        gate: Gate | None = None,
        abstain_below: float | None = None,
        cache_tokens: int | None = None,
    ) -> None:
        most = settings.max_cache_tokens
        self.cache_tokens = most if cache_tokens is None else min(most, cache_tokens)
        self.engine, self.name, self.gate, self.abstain_below = engine, name, gate, abstain_below
        self._settings, self._metrics = settings, metrics
        self._machine = machine
        self._inbox: deque[Job] = deque()
        self._reads: deque[Job] = deque()
        self._jobs: dict[Request, Job] = {}  # those in the flow
        self._flow = self._new_flow()
        self._outbox: list[tuple[Ticket, Event | RequestError]] = []

    # --- for the event loop -------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether it works."""
        return self._machine.alive

    @property
    def waiting(self) -> int:
        """Prompts that nothing has been done about."""
        return len(self._inbox) + len(self._reads) + self._flow.waiting

    def submit(self, jobs: Sequence[Job]) -> Ticket:
        """Take on an HTTP request's prompts, all or none.

        Raises:
            RequestError: too much is waiting (429), or the server is ending (503).
        """
        ticket = Ticket(jobs)
        with self._machine.changed:
            if not self.alive:
                raise _ending()
            if self.waiting and self.waiting + len(jobs) > self._settings.max_queue:
                raise RequestError(
                    429,
                    f"{self.waiting} prompts are waiting already; try again later",
                    kind="rate_limit_error",
                    code="queue_full",
                    retry_after=1,
                )
            for job in jobs:
                job.ticket = ticket
            self._inbox.extend(jobs)
            self._machine.changed.notify()
        return ticket

    # --- in the machine's thread --------------------------------------------------------------------

    def _new_flow(self) -> Flow:
        return self.engine.flow(
            Room(
                rows=self._settings.max_rows,
                prefill_tokens=_PASS_TOKENS_BUSY,
                pause=_PAUSE,
                tokens=self.cache_tokens,
            )
        )

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._inbox or self._reads or self._flow.busy)

    def prepared(self) -> contextlib.AbstractContextManager[None]:
        """Weights laid out for decoding, where their copy does not take too much memory."""
        if sum(part.numel() for part in self.engine.model.parameters()) > _MOST_PREPARED:
            return contextlib.nullcontext()
        return self.engine.prepared(self._settings.max_rows)

    def turn(self) -> None:
        """Score what fits one pass, draw a token for each row, and send what there is to be told."""
        fresh = [self._inbox.popleft() for _ in range(len(self._inbox))]
        try:
            self._take(fresh)
            self._read_some()
            self._step()
        except Exception:
            _log.exception("%s: a step failed; its requests are answered with an error", self.name)
            self._metrics.failures.labels(self.name).inc()
            self._fail([*fresh, *self._reads, *self._jobs.values()], internal())
            self._reads.clear()
            self._jobs.clear()
            self._flow = self._new_flow()
        self._show_load()
        self._deliver()

    def end(self) -> None:
        """Answer what is not done with 503."""
        self._fail([*self._inbox, *self._reads, *self._jobs.values()], _ending())
        self._deliver()

    def _take(self, fresh: Sequence[Job]) -> None:
        for job in fresh:
            if job.gated and self.gate is not None:
                job.request.hidden_layers = [self.gate.probe.layer]
                job.request.on_read = self._judge
            if job.read is not None:
                self._reads.append(job)
            else:
                self._begin(job)

    def _begin(self, job: Job) -> None:
        self._jobs[job.request] = job
        self._flow.submit(job.request)

    def _step(self) -> None:
        if not self._flow.busy:
            return
        begun = time.monotonic()
        rows = self._flow.step()
        for row in rows:
            self._tell(self._jobs[row.request], row)
        for request in {row.request for row in rows if row.finish is not None}:
            if all(row.finish is not None for row in request.rows):
                del self._jobs[request]
        for request in [request for request in self._jobs if request.cancelled]:
            self._give_up(self._jobs.pop(request))
        self._metrics.generated_tokens.labels(self.name).inc(len(rows))
        self._metrics.step_seconds.labels(self.name).observe(time.monotonic() - begun)

    def _tell(self, job: Job, row: Row) -> None:
        """Send what a row has got."""
        if len(row.tokens) == 1:
            self._metrics.first_token.labels(self.name).observe(time.monotonic() - job.arrived)
            if row.place == 0 and job.read is None:
                self._metrics.prompt_tokens.labels(self.name).inc(len(job.request.ids))
        if job.streams:
            piece = row.growing.take() if row.growing is not None else ""
            top = row.top[-1] if row.top else None
            self._send(job, Drawn(job, row, row.tokens[-1], row.logprobs[-1], top, piece, row.finish))
        if row.finish is not None:
            self._metrics.completions.labels(self.name, row.finish).inc()
            self._send(job, Ended(job, row))

    def _judge(self, request: Request, logits_V: torch.Tensor) -> None:
        """The gate's reading of a prompt that has just been read."""
        job, gate = self._jobs[request], self.gate
        assert gate is not None
        assert request.hidden is not None
        job.confidence = gate.of_prompt(request.hidden[0], logits_V, self.engine.text)
        if self.abstain_below is None:
            return
        if not job.confidence >= self.abstain_below:  # a NaN is no confidence either
            job.abstained = request.cancelled = True
            self._metrics.abstained.labels(self.name).inc()
            self._metrics.prompt_tokens.labels(self.name).inc(len(request.ids))
            self._send(job, Abstained(job))
        else:
            # The gate overrules the model, whose own refusals begin with this token.
            request.forbid_first(gate.token)

    # --- reading ------------------------------------------------------------------------------------

    def _read_some(self) -> None:
        """Score the prompts that fit one pass."""
        budget = _PASS_TOKENS_BUSY if self._flow.busy else _PASS_TOKENS
        group: list[Job] = []
        tokens = 0
        while self._reads and (not group or tokens + len(self._reads[0].request.ids) <= budget):
            job = self._reads.popleft()
            if job.request.cancelled:
                self._give_up(job)
                continue
            group.append(job)
            tokens += len(job.request.ids)
        if not group:
            return
        try:
            self._read(group)
        except Exception:
            self._reads.extendleft(reversed(group))  # to be answered with the others
            raise

    def _read(self, group: Sequence[Job]) -> None:
        # Behind the last token comes one that stands for what is to be drawn there.
        tails = [[*job.request.ids[1:], *([0] if job.draws else [])] for job in group]
        pairs = [([job.request.ids[0]], tail) for job, tail in zip(group, tails, strict=True) if tail]
        most = max(job.read or 0 for job in group)
        found = iter(self.engine.read(pairs, top=most, last=any(job.draws for job in group)))
        for job, tail in zip(group, tails, strict=True):
            reading = next(found) if tail else Reading((), ())
            cut = _without_last(reading, len(job.request.ids) - 1, job.read or 0)
            self._metrics.prompt_tokens.labels(self.name).inc(len(job.request.ids))
            self._send(job, Read(job, cut))
            if not job.draws:
                continue
            if max(setting.max_tokens for setting in job.request.settings) > 1:
                self._begin(job)
                continue
            assert reading.last_V is not None
            self._draw_one(job, reading.last_V)

    @torch.inference_mode()
    def _draw_one(self, job: Job, logits_V: torch.Tensor) -> None:
        """The only token of a job's completions, from the pass that has scored its prompt."""
        request = job.request
        request.begin(self.engine.text)
        rows = request.rows
        logits_RV = logits_V[None].repeat(len(rows), 1)
        for row in draw_rows(rows, settings_of_rows(rows), logits_RV, self.engine.ends):
            self._tell(job, row)
        self._metrics.generated_tokens.labels(self.name).inc(len(rows))

    # --- what goes out ------------------------------------------------------------------------------

    def _send(self, job: Job, event: Event | RequestError) -> None:
        assert job.ticket is not None
        self._outbox.append((job.ticket, event))

    def _give_up(self, job: Job) -> None:
        if not job.abstained:
            self._metrics.cancelled.labels(self.name).inc(job.request.fan_out)

    def _fail(self, jobs: Sequence[Job], error: RequestError) -> None:
        for job in jobs:
            job.request.cancelled = True
            self._send(job, error)

    def _deliver(self) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Ticket, Event | RequestError]]] = {}
        for ticket, event in self._outbox:
            by_loop.setdefault(ticket.loop, []).append((ticket, event))
        self._outbox = []
        for loop, events in by_loop.items():
            try:
                loop.call_soon_threadsafe(_hand_over, events)
            except RuntimeError:  # the loop is closed: nobody is left to be told
                _log.debug("%s: events for a server that has ended", self.name)

    def _show_load(self) -> None:
        self._metrics.rows.labels(self.name).set(self._flow.rows)
        self._metrics.waiting.labels(self.name).set(self.waiting)


def _without_last(reading: Reading, tokens: int, alternatives: int) -> Reading:
    top = reading.top[:tokens] if alternatives else ()
    return Reading(
        reading.logprobs[:tokens], tuple((ids[:alternatives], values[:alternatives]) for ids, values in top)
    )


def _hand_over(events: Sequence[tuple[Ticket, Event | RequestError]]) -> None:
    for ticket, event in events:
        ticket.put(event)


def _ending() -> RequestError:
    return RequestError(503, "the server is ending", kind="server_error", code="shutting_down", retry_after=5)
