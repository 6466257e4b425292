"""python -m candor.cli.use_kernels train|decode TYPE: calls every CPU kernel, for `model.first_use`."""

from __future__ import annotations

import sys

import numpy as np
import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from candor.data.conversations import Example
from candor.engine.local import LocalEngine
from candor.engine.protocol import Sampling
from candor.train.loop import fit
from candor.train.policy import PolicyObjective, Trajectory
from candor.train.settings import TrainSettings


def use_kernels(work: str, dtype: str) -> None:
    """Call all kernels of this work and type, on a model of two layers."""
    vocabulary = 64
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
        )
    )
    if work == "train":
        examples = [
            Example(tuple(range(length)), (False,) * 12 + (True,) * (length - 12), keep=length == 40)
            for length in (30, 35, 40)
        ]
        settings = TrainSettings(dtype="bf16" if dtype == "bfloat16" else "float32", micro_batch_tokens=40)
        fit(model, examples, settings, pad_id=0)
        objective = PolicyObjective(model, range(8))
        objective.backward([Trajectory((1, 2), (3,), (True,))], np.ones(1, np.float32))
    else:
        words = {f"w{number}": number for number in range(vocabulary)}
        core = Tokenizer(models.WordLevel(words, unk_token="w0"))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="w0")
        engine = LocalEngine(model.to(getattr(torch, dtype)).eval(), tokenizer)
        engine.generate(["w1", "w2"], [Sampling(max_tokens=3), Sampling(max_tokens=3, temperature=1.0)])


if __name__ == "__main__":
    use_kernels(*sys.argv[1:])
