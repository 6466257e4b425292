"""The training loss of a Hugging Face causal model, computed at supervised positions only.

The head's backward pass runs at once on each chunk of logits, so that none are kept for later; the decoder's
follows once (see `model.forward`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from candor.data.conversations import Example
from candor.model.batches import Batch, Reference, collate, supervised_places
from candor.model.forward import Forward
from candor.model.kernels import cross_entropy, flat

# Tokens of a reference that are kept apart: they hold nearly all of the probability.
_TOP = 64
_REFERENCES_AT_ONCE = 16
# The rest's probability in a reference is never taken as less: its logarithm has to stay finite.
_LEAST = 1e-6


class Objective:
    """The training loss of one model.

    Args:
        model: a causal language model, with or without PEFT adapters.
        sample: token ids of some ordinary text, to check the model's composition with.
        apart: see `model.forward.Forward`.

    Attributes:
        forward: the model's passes.
        packs: batches may be packed.
    """

    def __init__(self, model: nn.Module, sample: Sequence[int], *, apart: bool = True) -> None:
        self.forward = Forward(model, sample, apart=apart)
        self.packs = self.forward.packs

    def backward(self, batch: Batch, total_weight: float) -> float:
        """Add the gradient of (summed weighted loss / `total_weight`) and return the summed weighted loss."""
        return self._run(batch, total_weight)

    @torch.no_grad()
    def loss(self, batch: Batch) -> float:
        """The summed weighted loss, without gradients."""
        return self._run(batch, None)

    @torch.no_grad()
    def references(self, examples: Sequence[Example], *, pad_id: int) -> dict[Example, Reference]:
        """What the model, as it is now, expects at the supervised positions of each example."""
        found: dict[Example, Reference] = {}
        device = next(self.forward.model.parameters()).device
        for start in range(0, len(examples), _REFERENCES_AT_ONCE):
            part = examples[start : start + _REFERENCES_AT_ONCE]
            plain = [replace(example, keep=False) for example in part]
            batch = collate(plain, pad_id=pad_id, packs=self.packs).to(device)
            with self.forward.states(batch) as states:
                logprobs = (
                    self.forward.logits(part).log_softmax(-1) for part in states.split(self.forward.chunk)
                )
                tops = [chunk.topk(min(_TOP, chunk.shape[-1])) for chunk in logprobs]
            tokens, values = (
                torch.cat([getattr(top, name) for top in tops]) for name in ("indices", "values")
            )
            sizes = [len(supervised_places(example)) for example in part]
            for example, ids, known in zip(part, tokens.split(sizes), values.split(sizes), strict=True):
                found[example] = Reference(ids.clone(), known.clone(), _rest(known))
        return found

    def _run(self, batch: Batch, total_weight: float | None) -> float:
        """The summed weighted loss; with a `total_weight` its gradient over that is sent back."""
        hard, size = len(batch.targets), self.forward.chunk
        summed: float | torch.Tensor = 0.0  # a number is read from a GPU once, at the end
        with self.forward.states(batch) as states:
            # The head's backward pass runs chunk by chunk into `leaf.grad`; the decoder's then once.
            leaf = states.detach().requires_grad_(total_weight is not None)
            for start in range(0, hard, size):
                part = slice(start, min(start + size, hard))
                summed += self._predicted(leaf[part], batch.targets[part], batch.weights[part], total_weight)
            for start in range(hard, len(leaf), size):
                part = slice(start, start + size)
                assert batch.reference is not None
                logits = self.forward.logits(leaf[part])
                losses = divergence(logits, batch.reference, slice(start - hard, start - hard + size))
                summed += _sent(losses, batch.weights[part], total_weight)
            if states.requires_grad:
                states.backward(leaf.grad)
        return float(summed)

    def _predicted(
        self, states: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, total_weight: float | None
    ) -> torch.Tensor:
        """Cross-entropy, in the memory of the logits themselves where that can be."""
        logits = self.forward.plain_logits(states)
        if logits is None:
            losses = F.cross_entropy(self.forward.logits(states), targets, reduction="none")
            return _sent(losses, weights, total_weight)
        losses = np.empty(len(targets), np.float32)
        factors = flat(weights / (total_weight or 1.0))
        learns = total_weight is not None
        cross_entropy(flat(logits), logits.shape[-1], flat(targets), factors, learns, losses)
        if learns:
            logits.backward(logits.detach())
        return (torch.from_numpy(losses) * weights).sum()


def _sent(losses: torch.Tensor, weights: torch.Tensor, total_weight: float | None) -> torch.Tensor:
    loss = (losses * weights).sum()
    if total_weight is not None:
        (loss / total_weight).backward()
    return loss.detach()


def divergence(logits: torch.Tensor, reference: Reference, part: slice) -> torch.Tensor:
    """KL(reference ‖ model) in nats at each position, with all tokens beyond the reference's as one.

    Merging outcomes can only make a divergence smaller, so this is a lower bound of the whole one; where
    the model is as it was, both it and its gradient are 0.

    Args:
        logits: [positions, vocabulary], float32.
        reference: what is to be expected.
        part: which of the reference's positions these are.
    """
    known, rest = reference.logprobs[part], reference.rest[part]
    mine = logits.gather(1, reference.tokens[part]) - logits.logsumexp(-1, keepdim=True)
    return (known.exp() * (known - mine)).sum(-1) + rest.exp() * (rest - _rest(mine))


def _rest(logprobs: torch.Tensor) -> torch.Tensor:
    return (1 - logprobs.exp().sum(-1)).clamp(min=_LEAST).log()
