"""A checkpoint with chat tokens added stops at its new end token in vLLM, by its own configuration alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from byte_models import byte_tokenizer
from candor.chat.add_tokens import add_chat_tokens
from candor.engine.local import LocalEngine
from candor.engine.protocol import Sampling
from candor.model.load import load_model, load_tokenizer, save_checkpoint
from tiny_models import tiny_model

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model that got chat tokens, and whose likeliest next token is then the end of its turn."""
    folder = tmp_path_factory.mktemp("vllm-chat")
    base = tiny_model(  # heads as wide as vLLM wants them
        vocab_size=len(byte_tokenizer(None)), hidden_size=128, num_attention_heads=2, head_dim=64
    )
    save_checkpoint(base.to(torch.bfloat16), byte_tokenizer(None), folder / "base")
    add_chat_tokens(str(folder / "base"), folder / "chat")
    model, tokenizer = load_model(str(folder / "chat"), device="cpu"), load_tokenizer(str(folder / "chat"))
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    with torch.no_grad():
        model.get_input_embeddings().weight[end] = 0
        state = model.model(input_ids=torch.tensor([prompt_of(tokenizer)])).last_hidden_state[0, -1]
        model.get_input_embeddings().weight[end] = 5 * state
    save_checkpoint(model, tokenizer, folder / "ending")
    return folder / "ending"


def prompt_of(tokenizer) -> list[int]:
    turns = [{"role": "user", "content": "hello"}]
    return list(tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"])


def test_it_stops_at_the_new_end_token_by_the_generation_configuration_alone(checkpoint: Path) -> None:
    from candor.engine.vllm import VllmEngine

    tokenizer = load_tokenizer(str(checkpoint))
    end, prompt = tokenizer.convert_tokens_to_ids("<|im_end|>"), prompt_of(tokenizer)
    llm = VllmEngine.load(str(checkpoint), max_rows=4, max_model_len=128)._llm
    settings = llm.get_default_sampling_params()  # what vLLM reads out of generation_config.json
    settings.temperature, settings.max_tokens = 0.0, 8
    (result,) = llm.generate([{"prompt_token_ids": prompt}], settings, use_tqdm=False)
    (made,) = result.outputs
    assert (list(made.token_ids), made.finish_reason) == ([end], "stop")

    settings.ignore_eos = True  # the token alone does not end it: its being named as an end does
    (result,) = llm.generate([{"prompt_token_ids": prompt}], settings, use_tqdm=False)
    assert len(result.outputs[0].token_ids) == 8

    local = LocalEngine.load(str(checkpoint)).generate([prompt], Sampling(max_tokens=8))[0].completions[0]
    assert (local.token_ids, local.finish_reason) == ((end,), "stop")
