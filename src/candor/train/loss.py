"""Cross-entropy of a Hugging Face causal model at supervised positions only.

A vocabulary of 49k to 262k makes logits the largest tensor of a training step, and a question-and-answer
example needs them at a tenth of its positions. So the decoder runs without its head, the hidden states
that make a supervised prediction are picked out, and the head sees only those, a chunk at a time, with its
backward pass at once: no [batch, time, vocabulary] tensor is ever built, nor kept for later.

Whether decoder and head do compose to the model's own logits is checked on the model itself at the start
(`Objective`), and its own forward pass is used where they don't.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from candor.train.batches import Batch

# float32 logits of a chunk: large enough for efficient products, small beside the activations.
CHUNK_BYTES = 64 << 20


class Objective:
    """The training loss of one model.

    Args:
        model: a causal language model, with or without PEFT adapters.
        sample: token ids of some ordinary text, to check the model's composition with.

    Attributes:
        composed: decoder and head are run apart; False means the model's own forward pass is used.
        shares_prefix: tokens common to a micro-batch's rows are read once, through a key-value cache.
    """

    def __init__(self, model: nn.Module, sample: Sequence[int]) -> None:
        self._model = model
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
        assert isinstance(inner, PreTrainedModel)
        self._config = inner.config.get_text_config()
        self._decoder = inner.get_decoder()
        self._head = inner.get_output_embeddings()
        self._softcap: float | None = getattr(self._config, "final_logit_softcapping", None)
        self.composed = self.shares_prefix = False
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
            hidden = self._hidden(None, ids)
            self.composed = _close(self._logits(hidden), truth)
            # A sliding window or a recurrent state would drop or mix what the rows share.
            full = set(getattr(self._config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
            if self.composed and full and half and not getattr(self._config, "sliding_window", None):
                rest = self._hidden(ids[:, :half], ids[:, half:].expand(2, -1))
                self.shares_prefix = _close(rest, hidden[:, half:].expand(2, -1, -1))
        except (TypeError, AttributeError, NotImplementedError):
            return  # an unusual signature: the flags that hold so far stand
        finally:
            self._model.train(training)

    def backward(self, batch: Batch, total_weight: float) -> float:
        """Add the gradient of (summed weighted loss / `total_weight`) and return the summed weighted loss."""
        return self._run(batch, total_weight)

    @torch.no_grad()
    def loss(self, batch: Batch) -> float:
        """The summed weighted loss, without gradients."""
        return self._run(batch, None)

    def _run(self, batch: Batch, total_weight: float | None) -> float:
        if not self.composed:
            logits = self._model(input_ids=batch.input_ids, use_cache=False).logits
            picked = logits[batch.rows, batch.columns].float()
            loss = (F.cross_entropy(picked, batch.targets, reduction="none") * batch.weights).sum()
            if total_weight is not None:
                (loss / total_weight).backward()
            return float(loss.detach())
        hidden = self._hidden(batch.prefix, batch.input_ids)[batch.rows, batch.columns]  # [supervised, width]
        # The head's backward pass runs chunk by chunk into `leaf.grad`; the decoder's then once.
        leaf = hidden.detach().requires_grad_(total_weight is not None)
        size = max(1, CHUNK_BYTES // (4 * int(self._config.vocab_size)))
        summed = 0.0
        for start in range(0, len(leaf), size):
            part = slice(start, start + size)
            losses = F.cross_entropy(self._logits(leaf[part]), batch.targets[part], reduction="none")
            loss = (losses * batch.weights[part]).sum()
            if total_weight is not None:
                (loss / total_weight).backward()
            summed += float(loss.detach())
        if total_weight is not None:
            hidden.backward(leaf.grad)
        return summed

    def _hidden(self, prefix: torch.Tensor | None, ids: torch.Tensor) -> torch.Tensor:
        """Last hidden states of `ids` [batch, time], after the tokens that all rows share."""
        if prefix is None:
            return self._decoder(input_ids=ids, use_cache=False).last_hidden_state
        cache = DynamicCache(config=self._config)
        self._decoder(input_ids=prefix, past_key_values=cache, use_cache=True)
        for layer in cache.layers:
            assert isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None
            layer.keys = layer.keys.expand(len(ids), -1, -1, -1)
            layer.values = layer.values.expand(len(ids), -1, -1, -1)
        return self._decoder(input_ids=ids, past_key_values=cache, use_cache=True).last_hidden_state

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """float32 logits of hidden states [..., width]."""
        assert self._head is not None
        logits = self._head(hidden).float()
        return logits if self._softcap is None else self._softcap * torch.tanh(logits / self._softcap)


def _close(value: torch.Tensor, truth: torch.Tensor) -> bool:
    """Equal up to bfloat16's rounding through many layers (3 % seen); a wrong composition is off by 100 %."""
    return bool((value - truth).float().norm() <= 0.2 * truth.float().norm())
