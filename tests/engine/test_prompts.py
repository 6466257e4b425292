"""Prompts become the tokens that the model was tuned on, and every token that ends an answer is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import GenerationConfig, PreTrainedTokenizerFast

from candor.core.errors import CandorError, InputError
from candor.engine.prompts import encode_prompt, end_tokens, set_template, shared_prefix, template_text
from candor.engine.protocol import Message

WORDS = ["[unk]", "[start]", "[eos]", "hello", "there", "Question:", "Answer:", "user", "assistant", "@@@"]
MARKS = ["<|turn|>", "<|done|>", "<|plain|>"]
CHATML = (
    "{% for m in messages %}<|turn|>{{ m.role }} {{ m.content }}<|done|> {% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant {% endif %}"
)


def word_tokenizer(starts: bool = False, template: str | None = None) -> PreTrainedTokenizerFast:
    """Whole words; <|turn|> and <|done|> are special, <|plain|> is added but not special."""
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[unk]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    if starts:
        core.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
            single="[start] $A", special_tokens=[("[start]", 1)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[unk]", bos_token="[start]", eos_token="[eos]"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": MARKS[:2]})  # type: ignore[dict-item]
    tokenizer.add_tokens(MARKS[2:])
    tokenizer.chat_template = template
    return tokenizer


def ends_of(tokenizer: PreTrainedTokenizerFast, configured: int | list[int] | None = None) -> set[str]:
    ends = end_tokens(GenerationConfig(eos_token_id=configured), tokenizer)
    return set(tokenizer.convert_ids_to_tokens(sorted(ends)))


def said(tokenizer: PreTrainedTokenizerFast, prompt: Any) -> list[str]:
    return tokenizer.convert_ids_to_tokens(encode_prompt(tokenizer, prompt))


HELLO = [Message(role="user", content="hello there")]


def test_raw_text_gets_the_start_token_that_the_model_is_used_to() -> None:
    assert said(word_tokenizer(), "hello there") == ["hello", "there"]
    assert said(word_tokenizer(starts=True), "hello there") == ["[start]", "hello", "there"]


def test_messages_go_through_the_template_with_an_open_turn_and_no_second_start_token() -> None:
    expected = ["<|turn|>", "user", "hello", "there", "<|done|>", "<|turn|>", "assistant"]
    for starts in (False, True):
        assert said(word_tokenizer(starts, CHATML), HELLO) == expected


def test_the_plain_template_asks_a_base_model_with_its_own_start_token() -> None:
    for starts in (False, True):
        tokenizer = word_tokenizer(starts)
        set_template(tokenizer, "plain")
        expected = ["Question:", "hello", "there", "Answer:"]
        assert said(tokenizer, HELLO) == (["[start]"] if starts else []) + expected
        assert ends_of(tokenizer) == {"[eos]"}


def test_a_template_can_be_kept_or_given() -> None:
    tokenizer = word_tokenizer(template=CHATML)
    set_template(tokenizer, None)
    assert tokenizer.chat_template == CHATML
    set_template(tokenizer, "{{ messages[0].content }} <|done|>")
    assert said(tokenizer, HELLO) == ["hello", "there", "<|done|>"]


def test_messages_without_a_template_are_an_error_that_offers_the_plain_one() -> None:
    with pytest.raises(CandorError, match="no chat template") as caught:
        encode_prompt(word_tokenizer(), HELLO)
    assert "--template plain" in str(caught.value.fix)


def test_a_prompt_without_tokens_is_an_error() -> None:
    with pytest.raises(CandorError, match="empty prompt"):
        encode_prompt(word_tokenizer(), "")
    assert said(word_tokenizer(starts=True), "") == ["[start]"]


def test_messages_that_the_template_refuses_are_an_error_with_its_words() -> None:
    template = "{{ raise_exception('no system turns here') }}"
    with pytest.raises(CandorError, match=r"refused a conversation of user .*no system turns here"):
        encode_prompt(word_tokenizer(template=template), HELLO)


def test_end_tokens_are_the_models_and_the_tokenizers() -> None:
    assert ends_of(word_tokenizer()) == {"[eos]"}
    assert ends_of(word_tokenizer(), 4) == {"[eos]", "there"}
    assert ends_of(word_tokenizer(), [3, 4]) == {"[eos]", "hello", "there"}


@pytest.mark.parametrize("mark", ["<|done|>", "<|plain|>"])
def test_the_templates_end_of_turn_is_found_where_the_configuration_forgets_it(mark: str) -> None:
    template = CHATML.replace("<|done|>", f"{mark} <|turn|>")
    assert ends_of(word_tokenizer(template=template)) == {"[eos]", mark}


def test_unknown_text_behind_a_turn_ends_nothing() -> None:
    template = "{% for m in messages %}{{ m.role }} {{ m.content }} never-seen {% endfor %}"
    assert ends_of(word_tokenizer(template=template)) == {"[eos]"}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=2, max_size=5))
def test_shared_prefix_is_the_longest_that_leaves_each_prompt_a_token(prompts: list[list[int]]) -> None:
    length = shared_prefix(prompts)
    assert all(prompt[:length] == prompts[0][:length] for prompt in prompts)
    assert all(len(prompt) > length for prompt in prompts)
    longer = length + 1
    assert not (
        all(len(prompt) > longer for prompt in prompts) and len({tuple(p[:longer]) for p in prompts}) == 1
    )


def test_one_prompt_alone_shares_nothing() -> None:
    assert shared_prefix([[1, 2, 3]]) == shared_prefix([]) == 0


def test_template_is_plain_or_a_files_text_or_the_models_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text("{{ messages }}")
    assert template_text(None) is None
    assert template_text("plain") == "plain"
    assert template_text(str(file)) == "{{ messages }}"


def test_template_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jinja", tmp_path):
        with pytest.raises(InputError, match="no such chat template file") as caught:
            template_text(str(path))
        assert caught.value.path == path
    binary = tmp_path / "binary.jinja"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(CandorError, match="not UTF-8"):
        template_text(str(binary))
