"""Attention for short sequences on a CPU.

PyTorch's fused attention is made for long sequences: its backward pass on a CPU works through each head of
each row by itself. At the lengths of questions and answers, batched products over whole groups of heads are
several times faster (40 rows of 46 tokens, 9 heads, one Zen 5 core: 9 ms forward and backward against
27 ms), and grouped-query heads need no repeated copies of their keys. Longer sequences and other devices
go to PyTorch's as before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "candor_short"

# Keys beyond which the fused kernel wins: the scores of one row's head no longer fit the inner caches.
LONGEST = 512


def short_attention(
    module: nn.Module,
    query: torch.Tensor,  # [batch, heads, time, width]
    key: torch.Tensor,  # [batch, groups, keys, width]
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Softmax attention with the signature that transformers asks for; causal if there is no mask."""
    B, H, T, D = query.shape
    G, S = key.shape[1], key.shape[2]
    if query.device.type != "cpu" or S > LONGEST or dropout or kwargs.get("is_causal") is not None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    scale = D**-0.5 if scaling is None else scaling
    grouped = query.float().reshape(B, G, H // G * T, D)  # all heads of a group read the same keys
    # Scores in float32: rounded to bfloat16 they would move probabilities by several per cent.
    scores = torch.matmul(grouped * scale, key.float().transpose(-1, -2)).view(B, G, H // G, T, S)
    if attention_mask is None:
        allowed = torch.ones(T, S, dtype=torch.bool).tril(S - T) if T > 1 else None
    else:
        allowed = attention_mask.unsqueeze(2)  # [batch or 1, 1, 1, time, keys]
    if allowed is not None:
        hidden = torch.finfo(scores.dtype).min
        bias = allowed if allowed.is_floating_point() else torch.where(allowed, 0.0, hidden).to(scores.dtype)
        scores = scores + bias
    mixed = torch.matmul(scores.softmax(-1).to(value.dtype).view(B, G, H // G * T, S), value)
    return mixed.view(B, H, T, D).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, short_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


@contextmanager
def fast_attention(model: PreTrainedModel) -> Iterator[None]:
    """Use `short_attention` within the block, where the model is on a CPU and uses PyTorch's."""
    before = model.config._attn_implementation
    if before != "sdpa" or next(model.parameters()).device.type != "cpu":
        yield
        return
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
