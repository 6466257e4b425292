"""The key / value cache of a changing batch: rows join, rows leave, columns that nobody needs go.

Layout of a batch of R rows, W columns:

    [ shared prefix, P columns | padding | own tokens, right-aligned ]

Every row's newest token is in the last column, so one decode step is one column for all rows, whatever
their lengths; a mask says which columns are a row's own. Rows that start later are joined by aligning
their last column with everybody's. Works with any transformers architecture that takes a `Cache`.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import Cache
from transformers.cache_utils import DynamicLayer

_SPARE = 32  # free columns behind a freshly made cache: short answers never have to grow it


class GrowingLayer(DynamicLayer):
    """One layer's keys and values, [R, H, capacity, D], written in place and grown by half when full.

    `DynamicLayer` concatenates at each step, which copies the whole cache for each token.
    """

    def __init__(self) -> None:
        super().__init__()
        self.length = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append columns and return all live keys and values, each [R, H, length, D]."""
        added = key_states.shape[-2]
        if self.keys is None or self.values is None:
            self.keys, self.values = key_states, value_states
            self.is_initialized = True
        else:
            if self.length + added > self.keys.shape[-2]:
                capacity = self.length + max(added, self.length // 2, _SPARE)
                self.keys = _with_capacity(self.keys, self.length, capacity)
                self.values = _with_capacity(self.values, self.length, capacity)
            self.keys[:, :, self.length : self.length + added] = key_states
            self.values[:, :, self.length : self.length + added] = value_states
        self.length += added
        return self.live()

    def live(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The written part of keys and values, each [R, H, length, D]."""
        assert self.keys is not None
        assert self.values is not None
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def replace(self, keys: torch.Tensor, values: torch.Tensor, length: int) -> None:
        """Take these tensors, each [R, H, capacity, D], of which `length` columns are written."""
        self.keys, self.values, self.length = keys, values, length
        self.is_initialized = True

    def get_seq_length(self) -> int:
        """Columns written so far."""
        return self.length


def _with_capacity(tensor: torch.Tensor, length: int, capacity: int) -> torch.Tensor:
    rows, heads, _, width = tensor.shape
    grown = tensor.new_empty(rows, heads, capacity, width)
    grown[:, :, :length] = tensor[:, :, :length]
    return grown


class BatchCache(Cache):
    """All layers of a batch, with the mask that says which columns belong to which row.

    `mask` is [R, W] bool. The first `prefix` columns are shared by all rows.
    """

    def __init__(self, layers: int, prefix: int = 0) -> None:
        super().__init__(layers=[GrowingLayer() for _ in range(layers)])
        self.prefix = prefix
        self.mask = torch.zeros(0, 0, dtype=torch.bool)

    def parts(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Live keys and values of each layer."""
        return [layer.live() for layer in self.layers]  # type: ignore[attr-defined]

    def put(self, parts: list[tuple[torch.Tensor, torch.Tensor]], mask: torch.Tensor) -> None:
        """Replace keys, values (with spare columns or without) and mask."""
        for layer, (keys, values) in zip(self.layers, parts, strict=True):
            layer.replace(keys, values, mask.shape[1])  # type: ignore[attr-defined]
        self.mask = mask

    def rows(self, index: torch.Tensor) -> BatchCache:
        """A cache with these rows (repeats allowed), without the columns that no row needs any more."""
        mask = self.mask[index]
        needed = mask.any(dim=0)
        needed[: self.prefix] = True
        columns = torch.nonzero(needed).squeeze(1)
        chosen = BatchCache(len(self.layers), self.prefix)
        # Own tokens are right-aligned, so what nobody needs is one gap behind the prefix.
        first = int(columns[self.prefix]) if len(columns) > self.prefix else mask.shape[1]
        mask = torch.cat([mask[:, : self.prefix], mask[:, first:]], dim=1)
        parts = [
            (_cut(keys, index, self.prefix, first), _cut(values, index, self.prefix, first))
            for keys, values in self.parts()
        ]
        chosen.put(parts, mask)
        return chosen

    def joined(self, other: BatchCache) -> BatchCache:
        """A cache with this one's rows, then the other's, their last columns aligned."""
        width = max(self.mask.shape[1], other.mask.shape[1])
        both = BatchCache(len(self.layers), self.prefix)
        parts = []
        for (keys_a, values_a), (keys_b, values_b) in zip(self.parts(), other.parts(), strict=True):
            parts.append(
                (
                    _align(keys_a, keys_b, self.prefix, width),
                    _align(values_a, values_b, self.prefix, width),
                )
            )
        mask = torch.cat([_widen(self.mask, self.prefix, width), _widen(other.mask, self.prefix, width)])
        both.put(parts, mask)
        return both


def _cut(tensor: torch.Tensor, index: torch.Tensor, prefix: int, first: int) -> torch.Tensor:
    """Rows `index` without the columns between the prefix and `first`, with spare columns behind."""
    _, heads, length, width = tensor.shape
    kept = length - first
    cut = tensor.new_empty(len(index), heads, prefix + kept + _SPARE, width)
    cut[:, :, :prefix] = tensor[index, :, :prefix]
    cut[:, :, prefix : prefix + kept] = tensor[index, :, first:]
    return cut


def _align(a: torch.Tensor, b: torch.Tensor, prefix: int, width: int) -> torch.Tensor:
    """Stack [Ra, H, Wa, D] on [Rb, H, Wb, D] with prefixes left-aligned and the rest right-aligned."""
    both = a.new_zeros(a.shape[0] + b.shape[0], a.shape[1], width + _SPARE, a.shape[3])
    for tensor, rows in ((a, slice(None, a.shape[0])), (b, slice(a.shape[0], None))):
        own = tensor.shape[2] - prefix
        both[rows, :, :prefix] = tensor[:, :, :prefix]
        if own:
            both[rows, :, width - own : width] = tensor[:, :, prefix:]
    return both


def _widen(mask: torch.Tensor, prefix: int, width: int) -> torch.Tensor:
    gap = mask.new_zeros(mask.shape[0], width - mask.shape[1])
    return torch.cat([mask[:, :prefix], gap, mask[:, prefix:]], dim=1)
