"""Text becomes tokens and tokens become text again, with what each stands for and where."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live import Live

from byte_models import byte_tokenizer
from candor.engine.local import LocalEngine
from word_models import word_engine


@settings(max_examples=40, deadline=None, derandomize=True)
@given(text=st.text(max_size=30))
def test_a_text_comes_back_and_offsets_cut_its_bytes(server: Live, text: str) -> None:
    found = server.post("/tokenize", prompt=text)
    assert found["tokens"] == byte_tokenizer()(text)["input_ids"]
    assert found["count"] == len(found["tokens"]) == len(found["token_strs"]) == len(found["offsets"])
    assert found["max_model_len"] == 512
    data = text.encode()
    for name, (begin, end) in zip(found["token_strs"], found["offsets"], strict=True):
        piece = data[begin:end]
        assert name == "bytes:" + "".join(f"\\x{b:02x}" for b in piece) or name.encode() == piece
    assert server.post("/detokenize", tokens=found["tokens"])["prompt"] == text


def test_control_tokens_are_shown_and_can_be_left_out(server: Live) -> None:
    found = server.post("/tokenize", prompt="a<|end|>b")
    assert found["token_strs"] == ["a", "<|end|>", "b"]
    assert found["offsets"] == [[0, 1], [1, 8], [8, 9]]
    assert server.post("/detokenize", tokens=found["tokens"])["prompt"] == "a<|end|>b"
    skipped = server.post("/detokenize", tokens=found["tokens"], skip_special_tokens=True)
    assert skipped == {"prompt": "ab"}


def test_messages_are_tokenized_through_the_template(server: Live, engine: LocalEngine) -> None:
    turns = [{"role": "user", "content": "x"}]
    found = server.post("/tokenize", messages=turns)
    assert found["text"] == "<|turn|>user x<|end|>\n<|turn|>assistant "
    closed = server.post("/tokenize", messages=turns, add_generation_prompt=False)
    assert closed["text"] == "<|turn|>user x<|end|>\n"


def test_a_vocabulary_of_words_says_where_its_tokens_come_from() -> None:
    with Live({"words": word_engine()}) as live:
        found = live.post("/tokenize", prompt="wé  w5")
        assert found["token_strs"] == ["w1", "w5"]
        assert found["offsets"] == [[0, 3], [5, 7]]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokenize", {}),
        ("/tokenize", {"prompt": "x", "messages": [{"role": "user", "content": "x"}]}),
        ("/tokenize", {"prompt": 5}),
        ("/detokenize", {}),
        ("/detokenize", {"tokens": [268]}),
        ("/detokenize", {"tokens": [-1]}),
        ("/detokenize", {"tokens": "abc"}),
    ],
)
def test_what_is_neither_is_400(server: Live, path: str, body: dict[str, object]) -> None:
    server.refused(path, **body)
