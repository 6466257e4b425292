"""Which examples make an update.

An update takes the next examples of a shuffled order up to a token budget, so that its contents do not
depend on lengths. Inside it the examples are sorted by length and cut into micro-batches, packed where the
model allows it and with little padding where not; as the loss is normalised over the whole update, the cut
changes memory and speed and not the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from candor.data.conversations import Example
from candor.model.batches import cut, input_length, shared_prefix
from candor.train.settings import TrainSettings


def plan(
    examples: Sequence[Example], settings: TrainSettings, *, packs: bool = False
) -> list[list[list[int]]]:
    """Example indices of every update: [step][micro-batch][example], from the seed alone.

    Examples without a supervised token (beyond the first token, which nothing predicts) are left out.
    Packed, a prefix that many examples share doesn't count towards a micro-batch and neither does padding;
    which examples make an update stays the same.
    """
    lengths = [input_length(example) for example in examples]
    chosen = [i for i, length in enumerate(lengths) if length > 0 and examples[i].weight > 0]
    if not chosen:
        return []
    shared, members = shared_prefix(examples) if packs else (0, [False] * len(examples))
    rest = [length - shared * member for length, member in zip(lengths, members, strict=True)]
    usable = np.array(chosen)
    steps: list[list[list[int]]] = []
    remaining = round(settings.epochs * len(usable))
    for epoch in range(math.ceil(settings.epochs)):
        order = np.random.default_rng([settings.seed, epoch]).permutation(usable)[:remaining]
        remaining -= len(order)
        for step in cut(order.tolist(), lengths, settings.batch_tokens, padded=False):
            step.sort(key=lambda i: (lengths[i], i))
            steps.append(cut(step, rest, settings.micro_batch_tokens, padded=not packs))
    return steps if settings.max_steps is None else steps[: settings.max_steps]
