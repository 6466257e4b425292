"""One pass of a causal model, of whatever architecture, that makes logits only where they are asked for.

A vocabulary of 49k to 262k makes logits the largest tensor of a pass, and a question-and-answer example needs
them at a tenth of its positions. So the decoder runs without its head, the hidden states that make a wanted
prediction are picked out, and the head sees only those, a chunk at a time: no [batch, time, vocabulary]
tensor is ever built.

The decoder sees a batch as one packed row (`packing`), of the Llama family through our own kernels (`stack`).
Whether decoder and head do compose to the model's own logits, and whether it can be packed, is checked on the
model itself at the start; its own forward pass over padded rows is used where they don't.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

from candor.model.batches import Batch
from candor.model.packing import Layout, UnsupportedAttentionError, packing
from candor.model.stack import Stack, stack_of

# float32 logits of a chunk: large enough for efficient products, small beside the activations. A GPU's become
# efficient at more rows, and starting each of them costs the same for any number.
CHUNK_BYTES, GPU_CHUNK_BYTES = 64 << 20, 1 << 30


class Forward:
    """Passes of one model.

    Args:
        model: a causal language model, with or without PEFT adapters.
        sample: token ids of some ordinary text, to check the model's composition with.
        apart: run decoder and head apart where that can be. FSDP wants its model called as a whole: then
            logits are still made at the wanted places only, but for all of them at once.

    Attributes:
        model: the one given.
        composed: decoder and head are run apart; False means the model's own forward pass is used.
        packs: batches may be packed.
    """

    def __init__(self, model: nn.Module, sample: Sequence[int], *, apart: bool = True) -> None:
        self.model = model
        self._apart = apart
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
        device = next(self.model.parameters()).device
        ids = torch.tensor([list(sample)[:32]], device=device)
        half = ids.shape[1] // 2
        training = self.model.training
        self.model.eval()
        try:
            truth = self.model(input_ids=ids, use_cache=False).logits.float()
            if self._head is None or self._decoder is None or self._decoder is self.model:
                return
            hidden = truth[0]
            if self._apart:
                hidden = self._decoder(input_ids=ids, use_cache=False).last_hidden_state
                self.composed = _close(self._logits(hidden), truth)
                hidden = hidden[0]
            if (self.composed or not self._apart) and half:
                # The second half twice after the first: a model that mixes tokens in other ways than by
                # attention (a recurrent state, a convolution) can't have both right.
                layout = Layout.of([ids.shape[1] - half] * 2, half).to(device)
                row = torch.cat([ids, ids[:, half:]], dim=1)
                whole = torch.cat([hidden, hidden[half:]])
                places = torch.arange(len(whole), device=device)
                for stack in (stack_of(self._inner), None) if self._apart else (None,):
                    self._stack = stack
                    with self._packing(layout):
                        self.packs = _close(self._packed(row, layout, places), whole)
                    if self.packs:
                        break
        except (TypeError, ValueError, AttributeError, NotImplementedError, UnsupportedAttentionError):
            return  # an unusual signature or attention: the flags that hold so far stand
        finally:
            self.model.train(training)

    @property
    def branches(self) -> bool:
        """Whether sequences of a packed batch may have continuations (`Layout.of_branches`)."""
        return self.packs and self._stack is not None

    @contextlib.contextmanager
    def states(self, batch: Batch) -> Iterator[torch.Tensor]:
        """A forward pass: what `logits` reads at the batch's places. Gradients flow within the block."""
        if batch.layout is not None:
            with self._packing(batch.layout):
                yield self._packed(batch.input_ids, batch.layout, batch.places)
        elif self.composed:
            hidden = self._decoder(input_ids=batch.input_ids, use_cache=False).last_hidden_state
            yield hidden.flatten(0, 1)[batch.places]
        else:
            logits = self.model(input_ids=batch.input_ids, use_cache=False).logits
            yield logits.flatten(0, 1)[batch.places]

    def _packing(self, layout: Layout) -> contextlib.AbstractContextManager[None]:
        return packing(self._inner, layout) if self._stack is None else contextlib.nullcontext()

    def _packed(self, row: torch.Tensor, layout: Layout, places: torch.Tensor) -> torch.Tensor:
        """What `logits` reads at these places of a packed row [1, tokens]."""
        if self._stack is not None:
            return self._stack(row[0], layout, recompute=self._inner.is_gradient_checkpointing)[places]
        inputs = {"input_ids": row, "position_ids": layout.positions, "use_cache": False}
        if self._apart:
            return self._decoder(**inputs).last_hidden_state[0][places]
        return self.model(**inputs, logits_to_keep=places).logits[0]

    @property
    def chunk(self) -> int:
        """Places whose logits are made at once."""
        most = CHUNK_BYTES if self._inner.device.type == "cpu" else GPU_CHUNK_BYTES
        return max(1, most // (4 * int(self._config.vocab_size)))

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """float32 logits of what `states` gave."""
        return self._logits(states) if self.composed else states.float()

    def plain_logits(self, states: torch.Tensor) -> torch.Tensor | None:
        """Logits in the model's type, in memory of their own, if a CPU kernel can go on from there."""
        if self._stack is None or self._softcap is not None or self._head is None:
            return None
        return self._head(states)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """float32 logits of hidden states [..., width]."""
        assert self._head is not None
        logits = self._head(hidden).float()
        return logits if self._softcap is None else self._softcap * torch.tanh(logits / self._softcap)


def _close(value: torch.Tensor, truth: torch.Tensor) -> bool:
    """Equal up to bfloat16's rounding through many layers (3 % seen); a wrong composition is off by 100 %."""
    return bool((value - truth).float().norm() <= 0.2 * truth.float().norm())
