"""Tiny random models of four architectures behind the local engine, and transformers' own word on them."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from candor.engine.local import LocalEngine

KINDS = ["llama", "qwen3", "gemma3", "gpt2"]
VOCABULARY = 97
ENDS = list(range(2, 20))  # many, so that rows finish at different times
CONTEXT = 96


def words(length: int, seed: int = 0) -> str:
    """A text of this many tokens, none of them an end token."""
    draw = random.Random(f"{length}/{seed}")
    return " ".join(f"w{draw.randrange(20, VOCABULARY)}" for _ in range(length))


SHARED = words(12, seed=99)
PROMPTS = {
    "apart": [words(length) for length in (9, 1, 23, 4, 4, 14, 2, 31, 7, 17)],
    "shared": [f"{SHARED} {words(length)}" for length in (9, 1, 23, 4, 4, 14, 2, 31, 7, 17)],
}


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Token i is written w<i>; 0 pads."""
    core = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCABULARY)}, unk_token="w1"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="w0")


def tiny_model(kind: str, attention: str = "sdpa", ends: list[int] = ENDS) -> PreTrainedModel:
    """A float32 model with weights large enough that its predictions differ visibly; always the same ones."""
    special: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": ends}
    special["tie_word_embeddings"] = False  # tied ones would mostly repeat the last token
    sizes: dict[str, Any] = special | {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": CONTEXT,
    }
    configs = {
        "llama": lambda: LlamaConfig(**sizes),
        "qwen3": lambda: Qwen3Config(**sizes),
        # Two layers look back 6 tokens only, one looks back all the way.
        "gemma3": lambda: Gemma3TextConfig(
            **sizes,
            sliding_window=6,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
        "gpt2": lambda: GPT2Config(
            **special, vocab_size=VOCABULARY, n_embd=32, n_layer=3, n_head=4, n_positions=CONTEXT
        ),
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(
            configs[kind](), dtype=torch.float32, attn_implementation=attention
        )
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.25)
    return model.eval()


def tiny_engine(kind: str = "llama", ends: list[int] = ENDS, **options: Any) -> LocalEngine:
    return LocalEngine(tiny_model(kind, ends=ends), tiny_tokenizer(), name=f"tiny {kind}", **options)


def ids_of(text: str) -> list[int]:
    return [int(word[1:]) for word in text.split()]


@cache
def eager(kind: str) -> PreTrainedModel:
    """The same weights with the plainest attention that transformers has."""
    return tiny_model(kind, attention="eager")


@cache
def greedy_by_transformers(kind: str, prompt: str, max_tokens: int) -> tuple[list[int], list[float]]:
    """Tokens and log-probabilities of `model.generate`, one prompt at a time."""
    ids = torch.tensor([ids_of(prompt)])
    out: Any = eager(kind).generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=max_tokens,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    tokens = out.sequences[0, ids.shape[1] :].tolist()
    logprobs = torch.log_softmax(torch.cat(out.logits), dim=-1)
    return tokens, [float(row[token]) for row, token in zip(logprobs, tokens, strict=True)]


@torch.no_grad()
def logprobs_by_forward(kind: str, prompt: str, tail: list[int]) -> list[float]:
    """Log-probabilities of `tail` after the prompt, from one forward pass without cache or padding."""
    ids = ids_of(prompt) + tail
    logits = eager(kind)(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    rows = torch.log_softmax(logits, dim=-1)[len(ids) - len(tail) - 1 : -1]
    return [float(row[token]) for row, token in zip(rows, tail, strict=True)]
