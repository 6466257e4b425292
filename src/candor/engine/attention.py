"""Grouped-query attention without copying keys and values, registered with transformers as `candor`.

transformers repeats keys and values for each query head of a group before it calls the kernel, whenever
there is a mask. In decoding that copies the whole cache for each token. Here the query heads of a group
become query positions of one head instead, which is the same sum.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "candor"


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one decode step, or transformers' own SDPA for anything longer.

    Args:
        module: the attention module (for transformers' path).
        query: [B, heads, T, D].
        key: [B, key-value heads, S, D].
        value: as `key`.
        attention_mask: [B, 1, T, S] bool, or None.
        scaling: factor on the scores.
        **kwargs: what else transformers passes on.

    Returns:
        [B, T, heads, value's D] and no weights.
    """
    rows, heads, length, width = query.shape
    groups = key.shape[1]
    if length != 1 or groups == heads or kwargs.get("position_bias") is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    folded = query.reshape(rows, groups, heads // groups, width)
    mask = None if attention_mask is None else attention_mask.expand(-1, 1, folded.shape[2], -1)
    out = F.scaled_dot_product_attention(folded, key, value, attn_mask=mask, scale=scaling)
    return out.reshape(rows, 1, heads, value.shape[-1]), None


def register() -> None:
    """Make `candor` a name that `model.set_attn_implementation` knows."""
    AttentionInterface.register(NAME, grouped_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
