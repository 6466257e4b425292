"""Adapters on a real model that got new tokens first: what is saved, and where replies end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from byte_models import byte_model, byte_tokenizer
from candor.chat.add_tokens import add_chat_tokens, new_rows
from candor.chat.pipeline import ChatRun
from candor.chat.recipe import ChatRecipe
from candor.core.files import read_json, write_jsonl
from candor.core.progress import Reporter
from candor.core.recipe import validated
from candor.core.run import Run
from candor.engine.local import LocalEngine
from candor.engine.protocol import Sampling
from candor.model.load import SMOLLM2, resolve, save_checkpoint

# SmolLM2 has ChatML's tokens; it has none of these.
ROLES = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.role == 'assistant' %}<|stop|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ASKED = [{"role": "user", "content": "hello"}]


def tune(model: Path, file: Path, out: Path, **tune: Any) -> Path:
    settings = validated(
        ChatRecipe,
        {
            "model": {"name": str(model)},
            "data": {"sources": [{"path": str(file)}], "validation": 0.2},
            "tune": tune,
            "evaluate": {"prompts": ["hello"], "reply_tokens": 8, "threads": False, "tone": False},
        },
    )
    run = ChatRun(Run.start(out, settings), Reporter("quiet"))
    run.up_to("evaluate")
    run.run.close()
    return out


@pytest.mark.slow
def test_adapters_on_smollm2_save_the_rows_of_its_new_tokens_and_load_in_transformers(
    smollm2: str, tmp_path: Path
) -> None:
    (tmp_path / "roles.jinja").write_text(ROLES)
    done = add_chat_tokens(
        smollm2,
        tmp_path / "chat",
        template=str(tmp_path / "roles.jinja"),
        extra=("<|user|>", "<|system|>"),
    )
    rows = [
        {"messages": [{"role": "user", "content": f"hello {n}"}, {"role": "assistant", "content": "Hi."}]}
        for n in range(32)
    ]
    write_jsonl(tmp_path / "talks.jsonl", rows)
    run = tune(
        tmp_path / "chat", tmp_path / "talks.jsonl", tmp_path / "run",
        lora_rank=8, learning_rate=3e-3, epochs=4, batch_tokens=80, schedule="constant",
    )  # fmt: skip
    # A system turn never came up, so nothing was learned about its token.
    seen = {done.added.fresh[token] for token in ("<|user|>", "<|assistant|>", "<|stop|>")}
    assert read_json(run / "tune.json")["trained_rows"] == sorted(seen)
    assert seen < new_rows(tmp_path / "chat")

    tokenizer = AutoTokenizer.from_pretrained(run / "checkpoint")
    model = AutoModelForCausalLM.from_pretrained(run / "checkpoint", dtype=torch.bfloat16)
    before = AutoModelForCausalLM.from_pretrained(tmp_path / "chat", dtype=torch.bfloat16)
    for matrix in ("get_input_embeddings", "get_output_embeddings"):
        old, new = (getattr(one, matrix)().weight for one in (before, model))
        assert set((old != new).any(dim=1).nonzero().flatten().tolist()) == seen
    original = AutoModelForCausalLM.from_pretrained(resolve(SMOLLM2), dtype=torch.bfloat16)
    old, new = original.get_input_embeddings().weight, model.get_input_embeddings().weight
    assert torch.equal(new[: len(old)], old)
    assert read_json(run / "metrics.json")["loss"]["change"]["high"] < -1

    ids = tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
    assert tokenizer.decode(made[0, ids.shape[1] :]) == "Hi.<|stop|>"


@pytest.mark.parametrize("kind", ["llama", "qwen2"])  # tied and untied embeddings
@pytest.mark.parametrize("rank", [0, 8])
def test_after_tuning_replies_end_at_the_new_token_here_and_in_transformers(
    kind: str, rank: int, tmp_path: Path
) -> None:
    save_checkpoint(byte_model(kind).to(torch.bfloat16), byte_tokenizer(None), tmp_path / "base")
    add_chat_tokens(str(tmp_path / "base"), tmp_path / "chat")
    rows = [
        {"messages": [{"role": "user", "content": f"hello {n}"}, {"role": "assistant", "content": "well"}]}
        for n in range(24)
    ]
    write_jsonl(tmp_path / "talks.jsonl", rows)
    run = tune(
        tmp_path / "chat", tmp_path / "talks.jsonl", tmp_path / "run",
        lora_rank=rank, learning_rate=2e-2, epochs=30, batch_tokens=256, dtype="float32",
    )  # fmt: skip
    assert learned_to_end(run / "checkpoint")


def learned_to_end(folder: Path) -> bool:
    """What both make of a question, by the checkpoint alone: no end token is named to either."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end in json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    ids = tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False)
    theirs = made[0, ids.shape[1] :].tolist()
    ours = LocalEngine.load(str(folder)).generate([ASKED], Sampling(max_tokens=16))[0].completions[0]
    assert ours.finish_reason == "stop"
    assert ours.text == "well"
    assert list(ours.token_ids) == theirs
    return theirs[-1] == end and len(theirs) < 16
