"""The training loss of a Hugging Face causal model, computed at supervised positions only.

A vocabulary of 49k to 262k makes logits the largest tensor of a training step, and a question-and-answer
example needs them at a tenth of its positions. So the decoder runs without its head, the hidden states
that make a supervised prediction are picked out, and the head sees only those, a chunk at a time, with its
backward pass at once: no [batch, time, vocabulary] tensor is ever built, nor kept for later.

The decoder sees a micro-batch as one packed row (`attention`). Whether decoder and head do compose to the
model's own logits, and whether it can be packed, is checked on the model itself at the start
(`Objective`); its own forward pass over padded rows is used where they don't.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel

from candor.data.conversations import Example
from candor.model.packing import Layout, UnsupportedAttentionError, packing
from candor.model.stack import Stack, stack_of
from candor.train.batches import Batch, Reference, collate, supervised_places

# float32 logits of a chunk: large enough for efficient products, small beside the activations.
CHUNK_BYTES = 64 << 20
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

    Attributes:
        composed: decoder and head are run apart; False means the model's own forward pass is used.
        packs: batches may be packed.
    """

    def __init__(self, model: nn.Module, sample: Sequence[int]) -> None:
        self._model = model
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
        assert isinstance(inner, PreTrainedModel)
        self._inner = inner
        self._config = inner.config.get_text_config()
        self._decoder = inner.get_decoder()
        self._head = inner.get_output_embeddings()
        self._softcap: float | None = getattr(self._config, "final_logit_softcapping", None)
        self._stack: Stack | None = None
        self.composed = self.packs = False
        self._verify(sample)

    @torch.no_grad()
    def _verify(self, sample: Sequence[int]) -> None:
        """Find out what this architecture allows by comparing with the model's own forward pass."""
        device = next(self._model.parameters()).device
        ids = torch.tensor([list(sample)[:32]], device=device)
        half = ids.shape[1] // 2
        training = self._model.training
        self._model.eval()
        try:
            truth = self._model(input_ids=ids, use_cache=False).logits.float()
            if self._head is None or self._decoder is None or self._decoder is self._model:
                return
            hidden = self._decoder(input_ids=ids, use_cache=False).last_hidden_state
            self.composed = _close(self._logits(hidden), truth)
            if self.composed and half:
                # The second half twice after the first: a model that mixes tokens in other ways than by
                # attention (a recurrent state, a convolution) can't have both right.
                layout = Layout.of([ids.shape[1] - half] * 2, half).to(device)
                row = torch.cat([ids, ids[:, half:]], dim=1)
                whole = torch.cat([hidden[0], hidden[0, half:]])
                for stack in (stack_of(self._inner), None):
                    self._stack = stack
                    with self._packing(layout):
                        self.packs = _close(self._packed(row, layout)[0], whole)
                    if self.packs:
                        break
        except (TypeError, ValueError, AttributeError, NotImplementedError, UnsupportedAttentionError):
            return  # an unusual signature or attention: the flags that hold so far stand
        finally:
            self._model.train(training)

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
        device = next(self._model.parameters()).device
        for start in range(0, len(examples), _REFERENCES_AT_ONCE):
            part = examples[start : start + _REFERENCES_AT_ONCE]
            plain = [replace(example, keep=False) for example in part]
            batch = collate(plain, pad_id=pad_id, packs=self.packs).to(device)
            with self._pass(batch) as states:
                tops = [
                    self._read(chunk).log_softmax(-1).topk(min(_TOP, int(self._config.vocab_size)))
                    for chunk in states.split(self._chunk())
                ]
            tokens, values = (
                torch.cat([getattr(top, name) for top in tops]) for name in ("indices", "values")
            )
            sizes = [len(supervised_places(example)) for example in part]
            for example, ids, known in zip(part, tokens.split(sizes), values.split(sizes), strict=True):
                found[example] = Reference(ids.clone(), known.clone(), _rest(known))
        return found

    @contextlib.contextmanager
    def _pass(self, batch: Batch) -> Iterator[torch.Tensor]:
        """A forward pass: what `_read` reads at the supervised places. Gradients flow within the block."""
        if batch.layout is not None:
            with self._packing(batch.layout):
                yield self._packed(batch.input_ids, batch.layout)[0][batch.places]
        elif self.composed:
            hidden = self._decoder(input_ids=batch.input_ids, use_cache=False).last_hidden_state
            yield hidden.flatten(0, 1)[batch.places]
        else:
            logits = self._model(input_ids=batch.input_ids, use_cache=False).logits
            yield logits.flatten(0, 1)[batch.places]

    def _packing(self, layout: Layout) -> contextlib.AbstractContextManager[None]:
        return packing(self._inner, layout) if self._stack is None else contextlib.nullcontext()

    def _packed(self, row: torch.Tensor, layout: Layout) -> torch.Tensor:
        if self._stack is not None:
            return self._stack(row[0], layout)[None]
        return self._decoder(input_ids=row, position_ids=layout.positions, use_cache=False).last_hidden_state

    def _chunk(self) -> int:
        return max(1, CHUNK_BYTES // (4 * int(self._config.vocab_size)))

    def _run(self, batch: Batch, total_weight: float | None) -> float:
        hard = len(batch.targets)
        summed = 0.0
        with self._pass(batch) as states:
            # The head's backward pass runs chunk by chunk into `leaf.grad`; the decoder's then once.
            leaf = states.detach().requires_grad_(total_weight is not None)
            for start in (*range(0, hard, self._chunk()), *range(hard, len(leaf), self._chunk())):
                end = min(start + self._chunk(), hard if start < hard else len(leaf))
                logits = self._read(leaf[start:end])
                if start < hard:
                    losses = F.cross_entropy(logits, batch.targets[start:end], reduction="none")
                else:
                    assert batch.reference is not None
                    losses = divergence(logits, batch.reference, slice(start - hard, end - hard))
                loss = (losses * batch.weights[start:end]).sum()
                if total_weight is not None:
                    (loss / total_weight).backward()
                summed += float(loss.detach())
            if states.requires_grad:
                states.backward(leaf.grad)
        return summed

    def _read(self, states: torch.Tensor) -> torch.Tensor:
        """float32 logits of what `_pass` gave."""
        return self._logits(states) if self.composed else states.float()

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """float32 logits of hidden states [..., width]."""
        assert self._head is not None
        logits = self._head(hidden).float()
        return logits if self._softcap is None else self._softcap * torch.tanh(logits / self._softcap)


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


def _close(value: torch.Tensor, truth: torch.Tensor) -> bool:
    """Equal up to bfloat16's rounding through many layers (3 % seen); a wrong composition is off by 100 %."""
    return bool((value - truth).float().norm() <= 0.2 * truth.float().norm())
