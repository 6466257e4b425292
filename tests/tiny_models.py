"""Tiny random models and examples that the training tests share."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from candor.data.conversations import Example
from candor.model.load import load_tokenizer, save_checkpoint

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def tiny_model(
    kind: str = "llama", seed: int = 0, dtype: torch.dtype = torch.float32, **sizes: int
) -> PreTrainedModel:
    sizes = {**SIZES, **sizes}
    configs = {
        "llama": lambda: LlamaConfig(**sizes, tie_word_embeddings=True),
        # Biases, and key heads that are as many as query heads.
        "qwen2": lambda: Qwen2Config(**{**sizes, "num_key_value_heads": 4}, tie_word_embeddings=False),
        "mistral": lambda: MistralConfig(**sizes, sliding_window=8),
        "qwen3": lambda: Qwen3Config(**sizes, tie_word_embeddings=False),
        # A window of 8 is shorter than the examples; the soft cap is small enough to matter.
        "gemma3": lambda: Gemma3TextConfig(**sizes, sliding_window=8, final_logit_softcapping=0.5),
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(configs[kind](), dtype=torch.float32)
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.data += 0.2 * torch.randn_like(parameter)  # norms and biases that are not 1 and 0
                continue
            torch.nn.init.normal_(parameter, std=0.2)  # ten times the usual: losses that differ visibly
    return model.to(dtype)


def tiny_checkpoint(folder: Path, tokenizer: str) -> Path:
    """A random chat model of two layers with that tokenizer; its runs in float32 repeat bit by bit."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.3,
        eos_token_id=2,
        pad_token_id=2,
    )
    save_checkpoint(LlamaForCausalLM(config), load_tokenizer(tokenizer), folder)
    return folder


def tiny_examples(count: int = 12, seed: int = 0, prefix: int = 10) -> list[Example]:
    """Examples with a common start of `prefix` tokens and one or two supervised stretches."""
    draw = random.Random(seed)
    start = [draw.randrange(3, 97) for _ in range(prefix)]
    examples = []
    for index in range(count):
        ids, flags = list(start), [False] * prefix
        for _ in range(1 + index % 2):
            for length, learn in ((draw.randint(3, 8), False), (draw.randint(1, 6), True)):
                ids += [draw.randrange(3, 97) for _ in range(length)]
                flags += [learn] * length
        examples.append(Example((*ids, 5), (*flags, False), weight=1.0 + 0.5 * (index % 3)))
    return examples
