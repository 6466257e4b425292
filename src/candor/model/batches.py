"""Tokenised examples as tensors: packed into one row where the model allows it, padded rows where not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np
import torch

from candor.data.conversations import Example
from candor.model.packing import Layout

# Below this many common tokens a separate pass over the prefix costs more than it saves.
MIN_SHARED_PREFIX = 8


@dataclass(frozen=True)
class Reference:
    """What the untuned model expects at some positions: its likeliest tokens, and all others as one."""

    tokens: torch.Tensor  # [positions, top]
    logprobs: torch.Tensor  # [positions, top], float32
    rest: torch.Tensor  # [positions], log-probability of any other token

    @classmethod
    def joined(cls, parts: Sequence[Reference]) -> Reference:
        """The positions of several, one after the other."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in _FIELDS))


_FIELDS = ("tokens", "logprobs", "rest")


@dataclass(frozen=True)
class Batch:
    """Tensors of one micro-batch.

    With a `layout`, `input_ids` is one packed row; without, the rows are padded on the right, so causal
    attention needs no padding mask. `places` say where in the flattened `input_ids` the model predicts: first
    `targets`, then what is to stay as `reference` has it. `weights` are for both, in this order.
    """

    input_ids: torch.Tensor  # [1, tokens] or [batch, time]
    places: torch.Tensor  # [supervised]
    targets: torch.Tensor  # [supervised, less those of the reference]
    weights: torch.Tensor  # [supervised], float32
    tokens: int  # tokens of the examples that went in, padding and sharing aside
    layout: Layout | None = None
    reference: Reference | None = None

    def weightless(self) -> Batch:
        """The same batch, of which nothing counts."""
        return replace(self, weights=torch.zeros_like(self.weights))

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        if device.type == "cpu":
            return self
        fields = {
            name: value.to(device, non_blocking=True)
            for name, value in vars(self).items()
            if isinstance(value, torch.Tensor)
        }
        layout = None if self.layout is None else self.layout.to(device)
        reference = self.reference and Reference(*(getattr(self.reference, n).to(device) for n in _FIELDS))
        return Batch(**{**vars(self), **fields, "layout": layout, "reference": reference})


def input_length(example: Example) -> int:
    """Tokens of an example that the model has to read: what follows the last prediction is left out."""
    last = max((i for i, learn in enumerate(example.supervised) if learn), default=0)
    return last  # the last supervised token is a target only


def cut(
    order: Iterable[int], lengths: Sequence[int] | np.ndarray, budget: int, *, padded: bool
) -> list[list[int]]:
    """Cut a list into runs of at most `budget` tokens and at least one example."""
    runs: list[list[int]] = []
    used = longest = 0
    for index in order:
        longest = max(longest, lengths[index]) if runs else lengths[index]
        size = longest * (len(runs[-1]) + 1) if padded and runs else used + lengths[index]
        if not runs or size > budget:
            runs.append([])
            used, longest = 0, lengths[index]
        runs[-1].append(index)
        used += lengths[index]
    return runs


def collate(
    examples: Sequence[Example],
    *,
    pad_id: int,
    packs: bool = False,
    references: Mapping[Example, Reference] | None = None,
) -> Batch:
    """Tensors for a few examples.

    Args:
        examples: each with at least one supervised token after its first.
        pad_id: any valid token; the model's output there is never used.
        packs: one row of all tokens, what many of them start with in it once; else a padded row for each.
        references: of the examples that are to stay as they are.
    """
    lengths = [input_length(example) for example in examples]
    layout = None
    if packs:
        shared, members = shared_prefix(examples)
        skipped = [shared * member for member in members]
        layout = Layout.of([n - skip for n, skip in zip(lengths, skipped, strict=True)], shared, members)
        row = list(examples[members.index(True)].token_ids[:shared]) if shared else []
        starts = []
        for example, length, skip in zip(examples, lengths, skipped, strict=True):
            starts.append(len(row) - skip)
            row += example.token_ids[skip:length]
        ids = torch.tensor([row])
    else:
        width = max(lengths)
        ids = torch.full((len(examples), width), pad_id, dtype=torch.long)
        for number, (example, length) in enumerate(zip(examples, lengths, strict=True)):
            ids[number, :length] = torch.tensor(example.token_ids[:length])
        starts = [number * width for number in range(len(examples))]
    places, targets, weights = [], [], []
    kept = [example for example in examples if example.keep]
    for example, start in sorted(zip(examples, starts, strict=True), key=lambda pair: pair[0].keep):
        found = supervised_places(example)
        places += [start + place - 1 for place in found]
        weights += [example.weight] * len(found)
        if not example.keep:
            targets += [example.token_ids[place] for place in found]
    if kept and references is None:
        raise ValueError("an example is to be kept as it is, but there is no reference for it")
    return Batch(
        input_ids=ids,
        places=torch.tensor(places),
        targets=torch.tensor(targets, dtype=torch.long),
        weights=torch.tensor(weights, dtype=torch.float32),
        tokens=sum(lengths),
        layout=layout,
        reference=Reference.joined([references[e] for e in kept]) if kept and references else None,
    )


def supervised_places(example: Example) -> list[int]:
    """Where the tokens are that the model learns to predict; nothing predicts the first one."""
    return [place for place in range(1, input_length(example) + 1) if example.supervised[place]]


def shared_prefix(examples: Sequence[Example]) -> tuple[int, list[bool]]:
    """Leading tokens that many examples have in common and that predict nothing supervised.

    Returns:
        Their number, 0 where sharing would not save anything, and which examples start with them.
    """
    # The token before the first supervised one makes a prediction, so it stays with its example.
    heads = [
        e.token_ids[: max(e.supervised.index(True) - 1, 0)] if True in e.supervised else () for e in examples
    ]
    openings = Counter(head[:MIN_SHARED_PREFIX] for head in heads if len(head) >= MIN_SHARED_PREFIX)
    if not openings or (most := openings.most_common(1)[0])[1] < 2:
        return 0, [False] * len(examples)
    members = [head[:MIN_SHARED_PREFIX] == most[0] for head in heads]
    columns = zip(*{head for head, member in zip(heads, members, strict=True) if member}, strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns)), members
