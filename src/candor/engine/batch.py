"""The keys and values of the rows that are being decoded, and the step that adds a token to each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from candor.engine.cache import BatchCache
from candor.engine.decoder import Decoder
from candor.engine.prefill import Prefill
from candor.engine.slots import Slots


class Batch(Protocol):
    """Rows that join, leave, and are decoded together."""

    patience: float  # share of the rows that may be done before they are taken out

    def admit(self, cache: BatchCache, longest: Sequence[Sequence[int]]) -> None:
        """Add rows for each prompt that was read into the cache, by the most tokens of each of them."""
        ...

    def keep(self, rows: list[int]) -> None:
        """Let all other rows go."""
        ...

    def decode(self, tokens_R: torch.Tensor) -> torch.Tensor:
        """One more token for each row; returns logits [R, V]."""
        ...

    def footprint(self, lengths: Sequence[int]) -> int:
        """Tokens of memory that rows of such lengths take, prompt and completion together."""
        ...


class PaddedBatch:
    """Through transformers: any architecture, any device."""

    patience = 1 / 8  # taking rows out copies the cache; until then finished rows just run along

    def __init__(self, prefill: Prefill) -> None:
        self._prefill = prefill
        self._cache: BatchCache | None = None

    def admit(self, cache: BatchCache, longest: Sequence[Sequence[int]]) -> None:
        """See `Batch`."""
        counts = torch.tensor([len(one) for one in longest])
        fresh = cache.rows(torch.repeat_interleave(counts))
        self._cache = fresh if self._cache is None else self._cache.joined(fresh)

    def keep(self, rows: list[int]) -> None:
        """See `Batch`."""
        assert self._cache is not None
        self._cache = self._cache.rows(torch.tensor(rows, dtype=torch.long)) if rows else None

    def decode(self, tokens_R: torch.Tensor) -> torch.Tensor:
        """See `Batch`."""
        cache = self._cache
        assert cache is not None
        cache.mask = torch.cat([cache.mask, torch.ones(len(tokens_R), 1, dtype=torch.bool)], dim=1)
        return self._prefill.forward(tokens_R[:, None], cache, keep=1)[:, 0]

    def footprint(self, lengths: Sequence[int]) -> int:
        """See `Batch`."""
        return len(lengths) * max(lengths, default=0)


class SlotBatch:
    """Through the compiled step."""

    patience = 0.0

    def __init__(self, decoder: Decoder, start: BatchCache | None) -> None:
        self._decoder, self._start = decoder, start
        self._slots: Slots | None = None

    def admit(self, cache: BatchCache, longest: Sequence[Sequence[int]]) -> None:
        """See `Batch`."""
        if self._slots is None:
            self._slots = Slots(self._start, cache)
        self._slots.admit(cache, longest)

    def keep(self, rows: list[int]) -> None:
        """See `Batch`."""
        assert self._slots is not None
        if rows:
            self._slots.keep(rows)
        else:
            self._slots = None  # and with them the memory that a busier time took

    def decode(self, tokens_R: torch.Tensor) -> torch.Tensor:
        """See `Batch`."""
        assert self._slots is not None
        return self._decoder.step(tokens_R, self._slots)

    def footprint(self, lengths: Sequence[int]) -> int:
        """See `Batch`."""
        return sum(lengths)
