"""A base checkpoint becomes one that can be talked to, and stops where it should in every library."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from byte_models import byte_model, byte_tokenizer
from candor.chat.add_tokens import add_chat_tokens, new_rows
from candor.chat.template import chat_format
from candor.core.errors import CandorError
from candor.data.conversations import Conversation, encode
from candor.engine.local import LocalEngine
from candor.engine.protocol import Sampling
from candor.model.load import load_model, load_tokenizer, save_checkpoint

TALK = {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "well"}]}
ROLES = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.role == 'assistant' %}<|stop|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    save_checkpoint(byte_model(), byte_tokenizer(None), tmp_path / "base")
    return tmp_path / "base"


def test_a_base_model_gets_chatml(base: Path, tmp_path: Path) -> None:
    done = add_chat_tokens(str(base), tmp_path / "chat")
    tokenizer = load_tokenizer(str(tmp_path / "chat"))
    example = encode(Conversation.model_validate(TALK), tokenizer)
    text = tokenizer.decode(example.token_ids)
    assert text == "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\nwell<|im_end|>"
    assert done.end == "<|im_end|>"
    assert new_rows(tmp_path / "chat") == set(done.added.fresh.values())
    assert not done.replaced


def test_answers_stop_at_the_new_token_here_and_in_transformers(base: Path, tmp_path: Path) -> None:
    add_chat_tokens(str(base), tmp_path / "chat")
    spec = str(tmp_path / "chat")
    model, tokenizer = load_model(spec, dtype="float32", device="cpu"), load_tokenizer(spec)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    with torch.no_grad():  # the end token is what comes next, whatever was said
        model.model.norm.weight.fill_(1.0)
        rows = model.get_input_embeddings().weight
        rows[end] = 0
    prompt = tokenizer.apply_chat_template([TALK["messages"][0]], add_generation_prompt=True)["input_ids"]
    with torch.no_grad():
        state = model.model(input_ids=torch.tensor([prompt])).last_hidden_state[0, -1]
        rows[end] = 5 * state
    engine = LocalEngine(model, tokenizer)
    assert end in engine.ends
    (generation,) = engine.generate([prompt], Sampling(max_tokens=8))
    assert generation.completions[0].token_ids == (end,)
    assert generation.completions[0].finish_reason == "stop"
    made = load_like(model, spec).generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=8, do_sample=False
    )
    assert made[0, len(prompt) :].tolist() == [end]


def load_like(model, spec: str):
    fresh = load_model(spec, dtype="float32", device="cpu")
    fresh.load_state_dict(model.state_dict())
    return fresh


def test_a_template_of_ones_own_names_its_tokens(base: Path, tmp_path: Path) -> None:
    file = tmp_path / "roles.jinja"
    file.write_text(ROLES)
    roles = ("<|user|>", "<|system|>")
    done = add_chat_tokens(str(base), tmp_path / "chat", template=str(file), extra=roles)
    assert set(done.added.fresh) == {"<|stop|>", "<|assistant|>", *roles}
    tokenizer = load_tokenizer(str(tmp_path / "chat"))
    example = encode(Conversation.model_validate(TALK), tokenizer)
    learned = [t for t, learn in zip(example.token_ids, example.supervised, strict=True) if learn]
    assert tokenizer.decode(learned) == "well<|stop|>"


def test_a_template_that_never_stops_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.jinja"
    file.write_text("{% for m in messages %}{{ m.content }}\n{% endfor %}")
    with pytest.raises(CandorError, match="could not learn to stop"):
        chat_format(str(file), byte_tokenizer(None))


def test_a_template_that_fails_is_told(tmp_path: Path) -> None:
    file = tmp_path / "bad.jinja"
    file.write_text("{{ messages[0]['text'] + 1 }}")
    with pytest.raises(CandorError, match="fails on a question"):
        chat_format(str(file), byte_tokenizer(None))


def test_nothing_is_overwritten(base: Path, tmp_path: Path) -> None:
    with pytest.raises(CandorError, match="is there already"):
        add_chat_tokens(str(base), base)


def test_the_plain_format_has_no_tokens(base: Path, tmp_path: Path) -> None:
    with pytest.raises(CandorError, match="no tokens to add"):
        add_chat_tokens(str(base), tmp_path / "chat", template="plain")
