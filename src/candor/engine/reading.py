"""Passes over texts that are there already: how probable each token was, what else was, what comes next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from candor.engine.rows import Alternatives
from candor.engine.scoring import Pair, score_batches
from candor.model.forward import Forward


@dataclass(frozen=True)
class Reading:
    """What a model thinks of a text's tokens.

    Attributes:
        logprobs: of each token of the pair's second part.
        top: the likeliest tokens at their places, where they were asked for.
        last_V: float32 logits at the last of these places, where they were asked for.
    """

    logprobs: tuple[float, ...]
    top: tuple[Alternatives, ...]
    last_V: torch.Tensor | None = None


def read_pairs(
    forward: Forward, pairs: Sequence[Pair], *, budget: int, top: int = 0, last: bool = False
) -> Iterator[tuple[int, Reading]]:
    """Read the second part of each pair after the first, many pairs in one pass.

    A drawn token's log-probability and that of the best alternative come from the same sum, so that they are
    equal where the tokens are.

    Args:
        forward: passes of the model.
        pairs: best sorted by length; no part empty.
        budget: tokens of a pass, at least one pair.
        top: alternatives to return for each token.
        last: also return logits, of which each pair takes a row of the vocabulary's size.

    Yields:
        The place of a pair, and its reading.
    """
    device = next(forward.model.parameters()).device
    for places, batch in score_batches(pairs, budget, packs=forward.packs, branches=forward.branches):
        on_device = batch.to(device)
        ends = torch.tensor([len(pairs[place][1]) for place in places]).cumsum(0)
        logprobs: list[float] = []
        values: list[list[float]] = []
        tokens: list[list[int]] = []
        finals: list[torch.Tensor] = []
        with forward.states(on_device) as states:
            for some, targets in zip(
                states.split(forward.chunk), on_device.targets.split(forward.chunk), strict=True
            ):
                logits = forward.logits(some)
                norm = torch.logsumexp(logits, dim=-1)
                if last:
                    inside = ends[(ends > len(logprobs)) & (ends <= len(logprobs) + len(logits))]
                    finals += logits[(inside - len(logprobs) - 1).to(device)]
                logprobs += (logits.gather(1, targets[:, None]).squeeze(1) - norm).tolist()
                if top:
                    best, at = logits.topk(min(top, logits.shape[1]))
                    values += (best - norm[:, None]).tolist()
                    tokens += at.tolist()
        for number, (begin, end) in enumerate(pairwise([0, *ends.tolist()])):
            alternatives = zip(tokens[begin:end], values[begin:end], strict=True)
            best = tuple((tuple(ids), tuple(scores)) for ids, scores in alternatives)
            reading = Reading(tuple(logprobs[begin:end]), best, finals[number] if last else None)
            yield places[number], reading
