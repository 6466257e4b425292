"""Models with fresh weights, by depth and width."""

from __future__ import annotations

import math
from typing import Literal

import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen3Config,
)

Family = Literal["llama", "qwen3"]


def fresh_model(
    tokenizer: PreTrainedTokenizerBase,
    *,
    depth: int,
    width: int,
    context: int,
    head: int = 64,
    family: Family = "llama",
    spread: float = 0.02,
    seed: int,
) -> PreTrainedModel:
    """A model that nothing was learned with, in float32.

    Args:
        tokenizer: gives the vocabulary and the tokens that begin and end.
        depth: layers.
        width: of the residual stream; a multiple of `head`.
        context: longest text in tokens.
        head: width of an attention head.
        family: architecture.
        spread: standard deviation of the weights; the usual one suits widths of some hundreds.
        seed: of the weights; the caller's generators are left alone.
    """
    heads = width // head
    common = {
        "vocab_size": _up(len(tokenizer), 64),  # rows that the hardware likes; those behind are never trained
        "hidden_size": width,
        # SwiGLU has three matrices where others have two: 8/3 instead of 4 (Shazeer 2020).
        "intermediate_size": _up(round(width * 8 / 3), 64),
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "head_dim": head,
        "max_position_embeddings": context,
        "tie_word_embeddings": True,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": None,
        "initializer_range": spread,
    }
    config: PreTrainedConfig = (Qwen3Config if family == "qwen3" else LlamaConfig)(**common)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        # What a block adds to the stream starts small, so that depth does not add up (Radford et al. 2019).
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    weight.mul_(1 / math.sqrt(2 * depth))
    return model


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
