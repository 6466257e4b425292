"""Keys and values of live tokens only, for the compiled decode step: what is common is kept once.

    prefix    tokens that all prompts start with, once
    prompts   the rest of each prompt, once for all of its completions
    own       each completion's tokens, in a block of its own that doubles when it is full

Completions that end leave their block to others; no row is padded to another's length, so that memory goes by
the tokens there are, whatever the mix of lengths.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

import numpy as np
import torch

from candor.engine.cache import BatchCache

_FIRST_CAPACITY = 32  # tokens of a completion before its block has to grow


class Arena:
    """Blocks of keys and values of so many tokens each, in one tensor a layer.

    A block is [2, groups, tokens, size]: keys, then values. Blocks that are given back are taken again, first
    fit; when none fits, all layers grow by half.

    Args:
        layers: for shapes and type, keys [rows, groups, columns, size] of each layer.
    """

    def __init__(self, layers: Sequence[torch.Tensor]) -> None:
        self.layers = [keys.new_empty(2, 0) for keys in layers]  # [2, tokens · groups · size]
        self._shapes = [(keys.shape[1], keys.shape[3]) for keys in layers]
        self._tokens = 0
        self._free: list[tuple[int, int]] = []  # (start, tokens), in order, no two adjacent

    @property
    def tokens(self) -> int:
        """Room in all, in tokens."""
        return self._tokens

    def take(self, sizes: Sequence[int]) -> list[int]:
        """Where blocks of these many tokens begin."""
        found = [self._fit(size) for size in sizes]
        if lacking := sum(size for size, start in zip(sizes, found, strict=True) if start is None):
            self._grow(lacking)
        starts = []
        for size, start in zip(sizes, found, strict=True):
            place = self._fit(size) if start is None else start
            assert place is not None
            starts.append(place)
        return starts

    def give(self, start: int, tokens: int) -> None:
        """Let a block go."""
        insort(self._free, (start, tokens))
        place = self._free.index((start, tokens))
        for left in (place, place - 1):  # with what is behind it, then with what is before it
            if 0 <= left < len(self._free) - 1:
                (begin, size), (following, more) = self._free[left : left + 2]
                if begin + size == following:
                    self._free[left : left + 2] = [(begin, size + more)]

    def block(self, layer: int, start: int, tokens: int) -> torch.Tensor:
        """A view of a block, [2, groups, tokens, size]."""
        groups, size = self._shapes[layer]
        line = self.layers[layer][:, start * groups * size : (start + tokens) * groups * size]
        return line.view(2, groups, tokens, size)

    def _fit(self, tokens: int) -> int | None:
        for place, (start, size) in enumerate(self._free):
            if size >= tokens:
                self._free[place : place + 1] = [(start + tokens, size - tokens)] if size > tokens else []
                return start
        return None

    def _grow(self, tokens: int) -> None:
        added = max(tokens, self._tokens // 2)
        for layer, (old, (groups, size)) in enumerate(zip(self.layers, self._shapes, strict=True)):
            new = old.new_empty(2, (self._tokens + added) * groups * size)
            new[:, : old.shape[1]] = old
            self.layers[layer] = new
        self._tokens += added
        self.give(self._tokens - added, added)


class Slots:
    """The rows of a changing batch, and where their keys and values are.

    Attributes:
        prefix: [2, groups, columns, size] of each layer.
        prompt_start, prompt_length: [rows] int64, in tokens.
        start, length, capacity: [rows] int64, of a row's own tokens.
    """

    def __init__(self, prefix: BatchCache | None, like: BatchCache) -> None:
        """No rows yet.

        Args:
            prefix: the shared tokens' cache, of one row.
            like: any cache of the model, for shapes and type.
        """
        self._shared = prefix.prefix if prefix else 0
        keys = [keys for keys, _ in like.parts()]
        self.prefix = []
        for number, one in enumerate(keys):
            if prefix:
                pair = [part[0, :, : self._shared] for part in prefix.parts()[number]]
                self.prefix.append(torch.stack(pair).contiguous())
            else:
                self.prefix.append(one.new_empty(2, one.shape[1], 0, one.shape[3]))
        self._prompts, self._own = Arena(keys), Arena(keys)
        self._names = ("prompt_start", "prompt_length", "start", "length", "capacity", "_longest")
        self.prompt_start = self.prompt_length = np.zeros(0, np.int64)
        self.start = self.length = self.capacity = self._longest = np.zeros(0, np.int64)

    def admit(self, cache: BatchCache, longest: Sequence[Sequence[int]]) -> None:
        """Add the rows of freshly read prompts.

        Args:
            cache: a row for each prompt.
            longest: for each prompt, the most tokens of each of its completions.
        """
        shared, width = cache.prefix, cache.mask.shape[1]
        lengths = cache.mask[:, shared:].sum(dim=1).tolist()
        starts = self._prompts.take(lengths)
        for layer, (keys, values) in enumerate(cache.parts()):
            for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
                block = self._prompts.block(layer, start, length)
                block[0] = keys[row, :, width - length : width]
                block[1] = values[row, :, width - length : width]
        counts = [len(one) for one in longest]
        most = [tokens for one in longest for tokens in one]
        capacity = [min(tokens, _FIRST_CAPACITY) for tokens in most]
        fresh = (
            np.repeat(starts, counts),
            np.repeat(lengths, counts),
            self._own.take(capacity),
            np.zeros(len(most), np.int64),
            capacity,
            most,
        )
        for name, added in zip(self._names, fresh, strict=True):
            setattr(self, name, np.concatenate([getattr(self, name), np.array(added, np.int64)]))

    def keep(self, rows: list[int]) -> None:
        """Let all other rows go."""
        kept = np.array(rows, dtype=np.int64)
        gone = np.setdiff1d(np.arange(len(self.start)), kept)
        for start, capacity in zip(self.start[gone].tolist(), self.capacity[gone].tolist(), strict=True):
            self._own.give(start, capacity)
        prompts = dict(zip(self.prompt_start.tolist(), self.prompt_length.tolist(), strict=True))
        for start in prompts.keys() - {*self.prompt_start[kept].tolist()}:
            self._prompts.give(start, prompts[start])
        for name in self._names:
            setattr(self, name, getattr(self, name)[kept])

    def extend(self) -> None:
        """Make sure that every row has room for one more token."""
        full = np.nonzero(self.length >= self.capacity)[0]
        if not len(full):
            return
        before = [*zip(self.start[full].tolist(), self.capacity[full].tolist(), strict=True)]
        # One that is done may run along for a step or two, hence no less than one more.
        capacity = np.maximum(np.minimum(2 * self.capacity[full], self._longest[full]), self.length[full] + 1)
        after = self._own.take(capacity.tolist())
        for layer in range(len(self.prefix)):
            for (start, old), now, new in zip(before, after, capacity.tolist(), strict=True):
                self._own.block(layer, now, new)[:, :, :old] = self._own.block(layer, start, old)
        for start, old in before:
            self._own.give(start, old)
        self.start[full], self.capacity[full] = after, capacity

    def layer(self, number: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Prefix, prompts and own tokens of a layer, each [2, …]."""
        return self.prefix[number], self._prompts.layers[number], self._own.layers[number]

    @property
    def positions(self) -> np.ndarray:
        """Of the next tokens in their sequences, [rows]."""
        return self._shared + self.prompt_length + self.length
