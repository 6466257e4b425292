"""How texts to score become batches: packed, and what several of them begin with computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os.path import commonprefix

import torch

from candor.data.conversations import Example
from candor.model import packing
from candor.model.batches import Batch, collate, cut, input_length, shared_prefix

Pair = tuple[Sequence[int], Sequence[int]]  # what comes before, and what is to be scored


def score_batches(
    pairs: Sequence[Pair], budget: int, *, packs: bool, branches: bool
) -> Iterator[tuple[list[int], Batch]]:
    """Batches for pairs whose second parts are not empty.

    Args:
        pairs: best sorted by length.
        budget: tokens of a batch, at least one pair.
        packs: see `model.forward.Forward`.
        branches: likewise. Pairs with the same first part, such as the choices of one question, then
            share the pass over it.

    Yields:
        Which pairs, and their batch, whose targets are theirs one pair after the other.
    """
    short = [i for i, pair in enumerate(pairs) if len(pair[0]) + len(pair[1]) <= packing.LONGEST]
    if branches:
        yield from _branched(pairs, short, budget)
    rest = sorted({*range(len(pairs))} - {*short}) if branches else list(range(len(pairs)))
    yield from _plain(pairs, rest, budget, packs)


def _plain(
    pairs: Sequence[Pair], chosen: Sequence[int], budget: int, packs: bool
) -> Iterator[tuple[list[int], Batch]]:
    examples = [
        Example((*pairs[i][0], *pairs[i][1]), (False,) * len(pairs[i][0]) + (True,) * len(pairs[i][1]))
        for i in chosen
    ]
    shared, members = shared_prefix(examples) if packs else (0, [False] * len(examples))
    sizes = [input_length(one) - shared * member for one, member in zip(examples, members, strict=True)]
    for places in cut(range(len(chosen)), sizes, budget, padded=not packs):
        batch = collate([examples[place] for place in places], pad_id=0, packs=packs)
        yield [chosen[place] for place in places], batch


def _branched(pairs: Sequence[Pair], chosen: Sequence[int], budget: int) -> Iterator[tuple[list[int], Batch]]:
    stems: dict[tuple[int, ...], list[int]] = {}
    for i in chosen:
        stems.setdefault(tuple(pairs[i][0]), []).append(i)
    prefix = len(commonprefix([*stems])) if len(stems) > 1 else 0  # noqa: RUF071 (of lists)
    # A stem with very many continuations is taken in several goes.
    parts = [
        (stem, [members[place] for place in places])
        for stem, members in stems.items()
        for places in cut(range(len(members)), [len(pairs[i][1]) for i in members], budget, padded=False)
    ]
    sizes = [len(stem) - prefix + sum(len(pairs[i][1]) - 1 for i in members) for stem, members in parts]
    for places in cut(range(len(parts)), sizes, budget, padded=False):
        group = [parts[place] for place in places]
        yield [i for _, members in group for i in members], _branches(pairs, group, prefix)


def _branches(pairs: Sequence[Pair], group: list[tuple[tuple[int, ...], list[int]]], prefix: int) -> Batch:
    row, where, targets = list(group[0][0][:prefix]), [], []
    for stem, members in group:
        row += stem[prefix:]
        last = len(row) - 1 if len(stem) > prefix else prefix - 1  # it predicts every first token
        for i in members:
            tail = pairs[i][1]
            where += [last, *range(len(row), len(row) + len(tail) - 1)]
            targets += tail
            row += tail[:-1]  # nothing is to be predicted from the last token
    layout = packing.Layout.of_branches(
        prefix, [(len(stem) - prefix, [len(pairs[i][1]) - 1 for i in members]) for stem, members in group]
    )
    return Batch(
        input_ids=torch.tensor([row]),
        places=torch.tensor(where),
        targets=torch.tensor(targets),
        weights=torch.ones(len(targets)),
        tokens=len(row),
        layout=layout,
    )
