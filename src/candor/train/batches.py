"""Which examples make an update, and how they become tensors.

An update takes the next examples of a shuffled order up to a token budget, so that its contents do not
depend on lengths. Inside it the examples are sorted by length and cut into micro-batches with little
padding; as the loss is normalised over the whole update, the cut changes memory and speed and not the
result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from candor.data.conversations import Example
from candor.train.settings import TrainSettings

# Below this many common tokens a separate pass over the prefix costs more than it saves.
MIN_SHARED_PREFIX = 8


@dataclass(frozen=True)
class Batch:
    """Tensors of one micro-batch. Rows are padded on the right, so causal attention needs no padding mask.

    `prefix` are tokens that all rows start with and none of them is supervised on; `input_ids` are what
    follows them. `rows`, `columns` say where in `input_ids` the model predicts `targets`.
    """

    prefix: torch.Tensor | None  # [1, shared]
    input_ids: torch.Tensor  # [batch, time]
    rows: torch.Tensor  # [supervised]
    columns: torch.Tensor  # [supervised]
    targets: torch.Tensor  # [supervised]
    weights: torch.Tensor  # [supervised], float32
    tokens: int  # tokens of the examples that went in, padding and sharing aside

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        moved = {
            name: value.to(device, non_blocking=True)
            for name, value in vars(self).items()
            if isinstance(value, torch.Tensor)
        }
        return Batch(**{**vars(self), **moved})


def input_length(example: Example) -> int:
    """Tokens of an example that the model has to read: what follows the last prediction is left out."""
    last = max((i for i, learn in enumerate(example.supervised) if learn), default=0)
    return last  # the last supervised token is a target only


def plan(
    examples: Sequence[Example], settings: TrainSettings, *, share_prefix: bool = False
) -> list[list[list[int]]]:
    """Example indices of every update: [step][micro-batch][example], from the seed alone.

    Examples without a supervised token (beyond the first token, which nothing predicts) are left out.
    With `share_prefix`, tokens that all examples start with don't count towards a micro-batch; which
    examples make an update stays the same.
    """
    lengths = [input_length(example) for example in examples]
    chosen = [i for i, length in enumerate(lengths) if length > 0 and examples[i].weight > 0]
    if not chosen:
        return []
    shared = shared_prefix([examples[i] for i in chosen]) if share_prefix else 0
    rest = [length - shared for length in lengths]
    usable = np.array(chosen)
    steps: list[list[list[int]]] = []
    remaining = round(settings.epochs * len(usable))
    for epoch in range(math.ceil(settings.epochs)):
        order = np.random.default_rng([settings.seed, epoch]).permutation(usable)[:remaining]
        remaining -= len(order)
        for step in _cut(order.tolist(), lengths, settings.batch_tokens, padded=False):
            step.sort(key=lambda i: (lengths[i], i))
            steps.append(_cut(step, rest, settings.micro_batch_tokens, padded=True))
    return steps if settings.max_steps is None else steps[: settings.max_steps]


def _cut(order: list[int], lengths: list[int], budget: int, *, padded: bool) -> list[list[int]]:
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


def collate(examples: Sequence[Example], *, pad_id: int, share_prefix: bool = False) -> Batch:
    """Tensors for a few examples.

    Args:
        examples: each with at least one supervised token after its first.
        pad_id: any valid token; the model's output there is never used.
        share_prefix: take the tokens that all examples start with out of the rows, to be read once.
    """
    lengths = [input_length(example) for example in examples]
    shared = shared_prefix(examples) if share_prefix and len(examples) > 1 else 0
    ids = torch.full((len(examples), max(lengths) - shared), pad_id, dtype=torch.long)
    rows, columns, targets, weights = [], [], [], []
    for row, (example, length) in enumerate(zip(examples, lengths, strict=True)):
        ids[row, : length - shared] = torch.tensor(example.token_ids[shared:length])
        for place in range(1, length + 1):
            if example.supervised[place]:
                rows.append(row)
                columns.append(place - 1 - shared)
                targets.append(example.token_ids[place])
                weights.append(example.weight)
    return Batch(
        prefix=torch.tensor([examples[0].token_ids[:shared]]) if shared else None,
        input_ids=ids,
        rows=torch.tensor(rows),
        columns=torch.tensor(columns),
        targets=torch.tensor(targets),
        weights=torch.tensor(weights, dtype=torch.float32),
        tokens=sum(lengths),
    )


def shared_prefix(examples: Sequence[Example]) -> int:
    """Number of leading tokens that all examples have in common and that predict nothing supervised.

    0 where it is too short to be worth a pass of its own.
    """
    starts = (example.supervised.index(True) if True in example.supervised else 0 for example in examples)
    # The token before the first supervised one makes a prediction, so it stays in the rows.
    limit = max(min(starts) - 1, 0)
    heads = {example.token_ids[:limit] for example in examples}
    shared = next((n for n, tokens in enumerate(zip(*heads, strict=True)) if len(set(tokens)) > 1), limit)
    return shared if shared >= MIN_SHARED_PREFIX else 0
