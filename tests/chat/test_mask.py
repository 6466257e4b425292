"""What is marked is what is learned: every supervised token, no other, whatever its bytes are."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from byte_models import byte_tokenizer
from candor.chat.mask import BORDER, CLOSE, OPEN, Mask, print_legend
from candor.data.conversations import Conversation, Example, encode
from candor.engine.text import TokenText

TOKENIZER = byte_tokenizer()
TABLE = TokenText(TOKENIZER)
SIZE = len(TOKENIZER)


def talk(*turns: str) -> Conversation:
    roles = ("user", "assistant")
    return Conversation.model_validate(
        {"messages": [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]}
    )


def mask_of(*turns: str) -> Mask:
    return Mask(encode(talk(*turns), TOKENIZER), TOKENIZER, TABLE)


def test_every_answer_with_its_end_token_stands_in_brackets_and_nothing_else() -> None:
    mask = mask_of("Hi", "Hello there", "é 😀?", "Two\nlines")
    assert mask.as_plain() == (
        "<|turn|>user Hi<|end|>↵\n<|turn|>assistant ⟦Hello there<|end|>⟧↵\n"
        "<|turn|>user é 😀?<|end|>↵\n<|turn|>assistant ⟦Two↵\nlines<|end|>⟧"
    )
    learned, total = sum(piece.learned for piece in mask.pieces), sum(piece.tokens for piece in mask.pieces)
    assert mask.counts == f"{learned} of {total} tokens are learned"


def test_borders_stand_between_tokens_and_leave_characters_whole() -> None:
    plain = mask_of("hello world", "é😀 x").as_plain(borders=True)
    assert f"hello{BORDER} w{BORDER}o" in plain
    assert f"{OPEN}é{BORDER}😀{BORDER} {BORDER}x{BORDER}<|end|>{CLOSE}" in plain


def test_a_character_of_which_only_a_part_is_learned_shows_as_bytes() -> None:
    ids = TOKENIZER("a😀b", add_special_tokens=False)["input_ids"]
    assert len(ids) == 4
    mask = Mask(Example(tuple(ids), (False, False, True, True)), TOKENIZER, TABLE)
    assert mask.as_plain() == r"a\xf0\x9f\x98⟦\x80b⟧"
    cut = Mask(Example(tuple(ids[:2]), (False, True)), TOKENIZER, TABLE)
    assert cut.as_plain() == r"a⟦\xf0\x9f\x98⟧"


def test_our_marks_in_a_text_are_written_by_number_and_controls_do_nothing() -> None:
    plain = mask_of(f"a{OPEN}b\x1b[2J", f"c{CLOSE}\u202ed").as_plain()
    assert r"a\u27e6b␛[2J" in plain
    assert rf"{OPEN}c\u27e7\u202ed<|end|>{CLOSE}" in plain
    assert plain.count(OPEN) == plain.count(CLOSE) == 1


def test_a_vocabulary_of_words_keeps_the_spaces_between() -> None:
    core = Tokenizer(models.WordLevel({"one": 0, "two": 1, "three": 2, "four": 3}, unk_token="one"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    example = Example((0, 1, 2, 3), (False, True, True, False))
    assert Mask(example, tokenizer).as_plain() == "one⟦ two three⟧ four"


def test_bytes_outside_of_a_sentencepiece_vocabulary_make_characters() -> None:
    pieces = {"<unk>": 0, "▁a": 1, **{f"<0x{byte:02X}>": 2 + i for i, byte in enumerate("😀".encode())}}
    core = Tokenizer(models.BPE(pieces, [], unk_token="<unk>", byte_fallback=True))
    core.decoder = decoders.Sequence(  # type: ignore[assignment]
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    ids = (1, 2, 3, 4, 5, 1)
    assert Mask(Example(ids, (False, True, True, True, True, False)), tokenizer).as_plain() == " a⟦😀⟧ a"
    halved = Mask(Example(ids, (False, False, True, True, True, False)), tokenizer).as_plain()
    assert halved == r" a\xf0⟦\x9f\x98\x80⟧ a"


def test_rows_for_machines_tell_each_token() -> None:
    rows = mask_of("Hi", "é").as_json()
    assert rows[0] == {"id": 3, "text": "<|turn|>", "learned": False, "control": True}
    assert [row["text"] for row in rows if row["learned"]] == ["é", "<|end|>"]
    halves = Mask(
        Example(tuple(TOKENIZER("😀", add_special_tokens=False)["input_ids"]), (True, True)), TOKENIZER
    )
    assert [row["text"] for row in halves.as_json()] == [r"bytes:\xf0\x9f\x98", r"bytes:\x80"]


EXAMPLES = st.lists(st.tuples(st.integers(0, SIZE + 3), st.booleans()), max_size=40).map(
    lambda pairs: Example(tuple(i for i, _ in pairs), tuple(learn for _, learn in pairs))
)


@settings(max_examples=300, deadline=None)
@given(EXAMPLES)
def test_marks_cover_the_supervised_tokens_and_no_others(example: Example) -> None:
    mask = Mask(example, TOKENIZER, TABLE)
    flags = [piece.learned for piece in mask.pieces for _ in range(piece.tokens)]
    assert tuple(flags) == example.supervised
    assert all(piece.text for piece in mask.pieces)
    inside = "".join(re.findall(f"{OPEN}([^{CLOSE}]*){CLOSE}", mask.as_plain()))
    assert inside == "".join(piece.text for piece in mask.pieces if piece.learned)
    outside = re.sub(f"{OPEN}[^{CLOSE}]*{CLOSE}", "", mask.as_plain())
    assert outside == "".join(piece.text for piece in mask.pieces if not piece.learned)
    text = mask.as_text()
    underlined = "".join(
        text.plain[span.start : span.end] for span in text.spans if "underline" in str(span.style)
    )
    assert underlined == inside
    mask.as_plain(borders=True).encode()


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip))
def test_of_a_conversation_the_text_of_the_answer_is_inside(answer: str) -> None:
    mask = mask_of("Hi", answer)
    example = encode(talk("Hi", answer), TOKENIZER)
    learned = [i for i, learn in zip(example.token_ids, example.supervised, strict=True) if learn]
    whole = Mask(Example(tuple(learned), (True,) * len(learned)), TOKENIZER, TABLE).as_plain()
    assert mask.as_plain().endswith(whole)


def printed(terminal: bool, monkeypatch: pytest.MonkeyPatch, *, colour: bool = True) -> str:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=terminal, color_system="standard" if terminal else None, width=40
    )
    print_legend(console)
    mask_of("A long question that does not fit in a line", "Ho").print(console)
    return file.getvalue()


def test_a_terminal_gets_green_and_underlined_and_only_underlined_without_colour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    coloured, plain = printed(True, monkeypatch), printed(True, monkeypatch, colour=False)
    assert "\x1b[1;4;32mH\x1b[0m" in coloured
    assert "\x1b[1;4mH\x1b[0m" in plain
    assert OPEN not in coloured
    assert "3 of " in coloured


def test_what_is_no_terminal_gets_brackets_and_unbroken_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(False, monkeypatch)
    assert "\x1b" not in text
    assert f"{OPEN}learned{CLOSE} read only" in text
    assert "<|turn|>user A long question that does not fit in a line<|end|>↵\n" in text
    assert f"{OPEN}Ho<|end|>{CLOSE}" in text
