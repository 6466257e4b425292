"""Which examples make an update.

An update takes the next examples of a shuffled order up to a token budget, so that its contents do not
depend on lengths. Inside it the examples are sorted by length and cut into micro-batches, packed where the
model allows it and with little padding where not; as the loss is normalised over the whole update, the cut
changes memory and speed and not the result.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from candor.data.conversations import Example
from candor.data.pieces import Pieces
from candor.model.batches import cut, input_length, shared_prefix, supervised_places
from candor.train.settings import TrainSettings


@dataclass(frozen=True)
class Measures:
    """What a plan goes by, of each example: all [examples]."""

    lengths: np.ndarray  # tokens that the model reads
    supervised: np.ndarray  # tokens that it learns to predict
    weights: np.ndarray


def measures(examples: Sequence[Example]) -> Measures:
    """Measure examples; pieces of a corpus are never looked at one by one."""
    if isinstance(examples, Pieces):
        return Measures(examples.lengths, examples.lengths, np.ones(len(examples)))
    return Measures(
        np.array([input_length(example) for example in examples], np.int64),
        np.array([len(supervised_places(example)) for example in examples], np.int64),
        np.array([example.weight for example in examples], np.float64),
    )


def kept(examples: Sequence[Example]) -> list[Example]:
    """Those on which the model is to stay as it is; pieces of a corpus are none."""
    return [] if isinstance(examples, Pieces) else [example for example in examples if example.keep]


def fingerprint(examples: Sequence[Example]) -> bytes:
    """Changes with any token or flag."""
    if isinstance(examples, Pieces):
        return examples.fingerprint.encode()
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr((example.token_ids, example.supervised, example.weight, example.keep)).encode())
    return digest.digest()


def plan(examples: Sequence[Example], settings: TrainSettings, *, packs: bool = False) -> Plan:
    """Example indices of every update: [step][micro-batch][example], from the seed alone.

    Examples without a supervised token (beyond the first token, which nothing predicts) are left out.
    Packed, a prefix that many examples share doesn't count towards a micro-batch and neither does padding;
    which examples make an update stays the same.
    """
    found = measures(examples)
    rest = found.lengths
    if packs and not isinstance(examples, Pieces):
        shared, members = shared_prefix(examples)
        rest = rest - shared * np.array(members, dtype=np.int64)
    return Plan(found, rest, settings, padded=not packs)


class Plan(Sequence[list[list[int]]]):
    """Updates, each made when it is asked for: there may be very many examples.

    Args:
        found: the examples' measures.
        rest: [examples], tokens that count towards a micro-batch.
        settings: budgets, epochs and seed.
        padded: micro-batches are padded rows.
    """

    def __init__(self, found: Measures, rest: np.ndarray, settings: TrainSettings, *, padded: bool) -> None:
        self._lengths, self._rest, self._settings, self._padded = found.lengths, rest, settings, padded
        self._usable = np.flatnonzero((found.lengths > 0) & (found.weights > 0))
        self._order: tuple[int, np.ndarray] = (-1, self._usable)
        self._updates: list[tuple[int, int, int]] = []  # epoch, and from where to where in its order
        remaining = round(settings.epochs * len(self._usable))
        for epoch in range(math.ceil(settings.epochs)):
            order = self._ordered(epoch)[:remaining]
            remaining -= len(order)
            self._updates += [(epoch, *run) for run in _runs(self._lengths[order], settings.batch_tokens)]
        if settings.max_steps is not None:
            del self._updates[settings.max_steps :]

    def __len__(self) -> int:
        return len(self._updates)

    def __getitem__(self, index: int) -> list[list[int]]:  # type: ignore[override]  # no slices
        epoch, begin, end = self._updates[index]
        step: list[int] = self._ordered(epoch)[begin:end].tolist()
        step.sort(key=lambda i: (self._lengths[i], i))
        return cut(step, self._rest, self._settings.micro_batch_tokens, padded=self._padded)

    def _ordered(self, epoch: int) -> np.ndarray:
        if self._order[0] != epoch:
            shuffled = np.random.default_rng([self._settings.seed, epoch]).permutation(self._usable)
            self._order = (epoch, shuffled)
        return self._order[1]


def _runs(lengths: np.ndarray, budget: int) -> list[tuple[int, int]]:
    """Cut a list of lengths into runs of at most `budget` in sum and at least one."""
    ends = np.cumsum(lengths)
    runs, begin = [], 0
    while begin < len(lengths):
        before = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + budget, side="right")))
        runs.append((begin, end))
        begin = end
    return runs
