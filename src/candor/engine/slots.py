"""Keys and values of live tokens only, for the compiled decode step: what is common is kept once.

    prefix    tokens that all prompts start with, once
    prompts   the rest of each prompt, once for all of its completions
    own       each completion's tokens, in a place of its own

Completions that end leave their place to others; nothing is moved, and no row is padded to another's length.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from candor.engine.cache import BatchCache

_FIRST_CAPACITY = 32  # tokens of a completion before its place has to grow


@dataclass
class _Pool:
    """Places of equal capacity, one tensor a layer, [2, places, groups, capacity, size]; grown when full."""

    layers: list[torch.Tensor] = field(default_factory=list)
    free: list[int] = field(default_factory=list)

    @property
    def capacity(self) -> int:
        return self.layers[0].shape[3]

    def grow(self, places: int, capacity: int) -> None:
        """Make room for so many places of at least this capacity; what is there stays."""
        _, old_places, groups, old_capacity, size = self.layers[0].shape
        places, capacity = max(places, old_places), max(capacity, old_capacity)
        if (places, capacity) == (old_places, old_capacity):
            return
        for number, old in enumerate(self.layers):
            new = old.new_empty(2, places, groups, capacity, size)
            new[:, :old_places, :, :old_capacity] = old
            self.layers[number] = new
        self.free += range(old_places, places)

    def take(self, count: int) -> list[int]:
        """Free places, lowest first; more are made if there are too few."""
        if len(self.free) < count:
            self.grow(self.layers[0].shape[1] + count - len(self.free), self.capacity)
        self.free.sort(reverse=True)
        return [self.free.pop() for _ in range(count)]


class Slots:
    """The rows of a changing batch, and where their keys and values are.

    Attributes:
        prefix: [2, groups, columns, size] of each layer.
        prompt_place, prompt_length, place, length: [rows] int64.
    """

    def __init__(self, prefix: BatchCache | None, like: BatchCache, longest: int) -> None:
        """No rows yet.

        Args:
            prefix: the shared tokens' cache, of one row.
            like: any cache of the model, for shapes and type.
            longest: tokens of the longest completion.
        """
        self._longest = longest
        self._shared = prefix.prefix if prefix else 0
        self.prefix, self._prompts, self._own = [], _Pool(), _Pool()
        for number, (keys, _) in enumerate(like.parts()):
            groups, size = keys.shape[1], keys.shape[3]
            if prefix:
                pair = [part[0, :, : self._shared] for part in prefix.parts()[number]]
                self.prefix.append(torch.stack(pair).contiguous())
            else:
                self.prefix.append(keys.new_empty(2, groups, 0, size))
            for pool in (self._prompts, self._own):
                pool.layers.append(keys.new_empty(2, 0, groups, 0, size))
        self.prompt_place = self.prompt_length = self.place = self.length = np.zeros(0, np.int64)

    def admit(self, cache: BatchCache, completions: int) -> None:
        """Add the rows of freshly read prompts: so many for each row of their cache."""
        shared, width = cache.prefix, cache.mask.shape[1]
        lengths = cache.mask[:, shared:].sum(dim=1).tolist()
        self._prompts.grow(0, max(lengths))
        self._own.grow(0, min(self._longest, _FIRST_CAPACITY))
        places = self._prompts.take(len(lengths))
        for layer, (keys, values) in enumerate(cache.parts()):
            for side, part in enumerate((keys, values)):
                for row, (place, length) in enumerate(zip(places, lengths, strict=True)):
                    self._prompts.layers[layer][side, place, :, :length] = part[
                        row, :, width - length : width
                    ]
        own = self._own.take(len(lengths) * completions)
        self.prompt_place = np.concatenate([self.prompt_place, np.repeat(places, completions)])
        self.prompt_length = np.concatenate([self.prompt_length, np.repeat(lengths, completions)])
        self.place = np.concatenate([self.place, own])
        self.length = np.concatenate([self.length, np.zeros(len(own), np.int64)])

    def keep(self, rows: list[int]) -> None:
        """Let all other rows go."""
        kept = np.array(rows, dtype=np.int64)
        gone = np.setdiff1d(np.arange(len(self.place)), kept)
        self._own.free += self.place[gone].tolist()
        self._prompts.free += sorted({*self.prompt_place.tolist()} - {*self.prompt_place[kept].tolist()})
        for name in ("prompt_place", "prompt_length", "place", "length"):
            setattr(self, name, getattr(self, name)[kept])

    def extend(self) -> None:
        """Make sure that every row has room for one more token."""
        if len(self.length) and int(self.length.max()) >= self._own.capacity:
            self._own.grow(0, min(self._longest, 2 * self._own.capacity))

    def layer(self, number: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Prefix, prompts and own tokens of a layer, each [2, …]."""
        return self.prefix[number], self._prompts.layers[number], self._own.layers[number]

    @property
    def capacities(self) -> tuple[int, int]:
        """Of a prompt's place and of a completion's."""
        return self._prompts.capacity, self._own.capacity

    @property
    def positions(self) -> np.ndarray:
        """Of the next tokens in their sequences, [rows]."""
        return self._shared + self.prompt_length + self.length
