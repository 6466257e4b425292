"""Requests that come and go, decoded together: the one loop behind `LocalEngine.generate` and the server.

    flow = engine.flow()                                  # for one thread; nothing else may run the model
    request = Request(ids, [Sampling(max_tokens=20)])
    flow.submit(request)                                  # at any time between two steps
    while flow.busy:
        for row in flow.step():                           # those that got a token: row.tokens[-1]
            ...                                           # row.finish says whether it was the last
    request.cancelled = True                              # its rows are gone at the next step

A step reads prompts that wait, as far as there is room, and draws one token for each row. Tokens are handed
out as they are drawn: a step begins with the model's pass over the tokens of the step before, so that nobody
waits for a pass that is not about their token. First come, first served; a request's completions start
together. What a row's tokens are depends on its request alone (`Sampling.seed`, `Request.index`, its place
there), up to the rounding of the arithmetic type, whose sums go in other orders in batches of other sizes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from candor.core.errors import CandorError
from candor.engine.batch import Batch
from candor.engine.prefill import Prefill
from candor.engine.rows import Request, Row, draw_rows, settings_of_rows

if TYPE_CHECKING:
    from candor.engine.cache import BatchCache
    from candor.engine.sampling import RowSettings
    from candor.engine.text import TokenText


@dataclass(frozen=True)
class Room:
    """How much is done at once.

    Args:
        rows: completions decoded at once; one request with more gets them all the same, alone.
        prefill_tokens: padded prompt tokens in one pass.
        joining: rows that have to be free before waiting prompts join, so that reading them is worth a pass
            of its own. 1 where somebody waits for the answer.
        pause: steps between two groups that join, unless the second is a quarter of what runs: each is a
            pass over all weights, for which all rows wait.
        tokens: of all rows together, prompts and the completions' limits; None for no limit.
    """

    rows: int
    prefill_tokens: int
    joining: int = 1
    pause: int = 0
    tokens: int | None = None


class Flow:
    """Requests on their way through one changing batch; made by `LocalEngine.flow`.

    Args:
        batch: no rows yet.
        prefill: reads prompts.
        text: the tokenizer's.
        ends: tokens that end a completion.
        room: how much is done at once.
        start: the cache of what all prompts begin with, if anything.
    """

    def __init__(
        self,
        batch: Batch,
        prefill: Prefill,
        text: TokenText,
        *,
        ends: Collection[int],
        room: Room,
        start: BatchCache | None = None,
    ) -> None:
        self._batch, self._prefill, self._text = batch, prefill, text
        self._ends, self._room, self._start = ends, room, start
        self._waiting: deque[Request] = deque()
        self._rows: list[Row] = []
        self._logits_RV = torch.empty(0)
        self._settings: RowSettings | None = None  # of the rows as they are now
        self._since = 0  # steps since prompts have joined

    @property
    def busy(self) -> bool:
        """Whether anything is left to do."""
        return bool(self._rows or self._waiting)

    @property
    def waiting(self) -> int:
        """Requests whose prompt has not been read."""
        return len(self._waiting)

    @property
    def rows(self) -> int:
        """Completions that are being decoded."""
        return len(self._rows)

    def submit(self, *requests: Request) -> None:
        """Let requests wait for room."""
        self._waiting.extend(requests)

    @torch.inference_mode()
    def step(self) -> list[Row]:
        """Draw one token for each row; returns the rows that got one, those that ended among them."""
        if any(row.request.cancelled for row in self._rows):
            self._keep(place for place, row in enumerate(self._rows) if not row.request.cancelled)
        if self._rows:
            self._logits_RV = self._batch.decode(torch.tensor([row.tokens[-1] for row in self._rows]))
        self._since += 1
        self._join()
        if not self._rows:
            return []
        if self._settings is None:
            self._settings = settings_of_rows(self._rows)
        drawn = draw_rows(self._rows, self._settings, self._logits_RV, self._ends)
        alive = [place for place, row in enumerate(self._rows) if row.finish is None]
        if not alive or len(self._rows) - len(alive) >= max(1, len(self._rows) * self._batch.patience):
            self._keep(alive)
        return drawn

    def _keep(self, places: Iterable[int]) -> None:
        kept = list(places)
        if len(kept) < len(self._rows):
            self._rows = [self._rows[place] for place in kept]
            self._batch.keep(kept)
            self._settings = None

    # --- joining ------------------------------------------------------------------------------------

    def _join(self) -> None:
        """Read waiting prompts, as many as there is room for, and put their rows beside the others'."""
        while self._waiting and self._waiting[0].cancelled:
            self._waiting.popleft()
        if not self._waiting or not self._due():
            return
        group = self._next_group()
        layers = sorted({layer for request in group for layer in request.hidden_layers})
        cache, logits, states = self._prefill.read([one.ids for one in group], self._start, layers)
        self._since = 0
        for place, request in enumerate(group):
            if states is not None and request.hidden_layers:
                chosen = [layers.index(layer) for layer in request.hidden_layers]
                request.hidden = states[place][chosen]
            request.begin(self._text)
            if request.on_read is not None:
                request.on_read(request, logits[place])
        kept = [place for place, request in enumerate(group) if not request.cancelled]
        if len(kept) < len(group):
            if not kept:
                return
            group = [group[place] for place in kept]
            cache, logits = cache.rows(torch.tensor(kept)), logits[kept]
        self._batch.admit(cache, [request.longest for request in group])
        counts = torch.tensor([request.fan_out for request in group], device=logits.device)
        logits = logits.repeat_interleave(counts, dim=0)
        self._logits_RV = torch.cat([self._logits_RV, logits]) if self._rows else logits
        self._rows += [row for request in group for row in request.rows]
        self._settings = None

    def _due(self) -> bool:
        first = self._waiting[0]
        if not self._rows:
            return True
        if len(self._rows) + max(first.fan_out, self._room.joining) > max(self._room.rows, first.fan_out):
            return False
        if not self._fits([first]):
            return False
        fresh = sum(request.fan_out for request in self._waiting)
        return self._since > self._room.pause or 4 * fresh >= len(self._rows)

    def _fits(self, group: Sequence[Request]) -> bool:
        """Whether there is memory for these requests beside the rows there are."""
        if self._room.tokens is None:
            return True
        lengths = [len(row.request.ids) + row.sampling.max_tokens for row in self._rows]
        lengths += [len(request.ids) + most for request in group for most in request.longest]
        return self._batch.footprint(lengths) <= self._room.tokens

    def _next_group(self) -> list[Request]:
        """Take the next prompts that fit the free rows and one prefill; at least one."""
        shared = self._start.prefix if self._start else 0
        group: list[Request] = []
        width = rows = 0
        while self._waiting:
            request = self._waiting[0]
            wider = max(width, len(request.ids) - shared)
            full = (
                len(self._rows) + rows + request.fan_out > self._room.rows
                or wider * (len(group) + 1) > self._room.prefill_tokens
                or not self._fits([*group, request])
            )
            if group and full:
                break
            self._waiting.popleft()
            if request.cancelled:
                continue
            group.append(request)
            width, rows = wider, rows + request.fan_out
        return group


def check_request(
    request: Request, *, name: str, context: int, vocabulary: int, layers: int, index: int = 0
) -> None:
    """See that the model can do what is asked, before anything is computed.

    Raises:
        CandorError: an empty prompt or one that does not fit the context with its completion, or a token or
            a layer that there is not.
    """
    if not request.ids:
        raise CandorError("an empty prompt: there is nothing to continue", fix="give at least one token")
    longest = max(setting.max_tokens for setting in request.settings)
    if len(request.ids) > context - longest:
        raise CandorError(
            f"prompt {index} has {len(request.ids)} tokens; with its completion it does not fit the "
            f"model's context of {context}",
            fix="lower max_tokens, shorten the prompt or the chunk size, or use a model that reads more",
        )
    named = [token for setting in request.settings for token, _ in setting.logit_bias]
    for token in (min(request.ids), max(request.ids), *named):
        if not 0 <= token < vocabulary:
            raise CandorError(
                f"token {token} does not exist: {name} has {vocabulary} tokens",
                fix=f"give token ids between 0 and {vocabulary - 1}, of this model's tokenizer",
            )
    for layer in request.hidden_layers:
        if not 0 <= layer <= layers:
            raise CandorError(
                f"layer {layer} does not exist: {name} has {layers} layers",
                fix=f"choose layers between 0 (the embedding) and {layers}",
            )
