"""Text comes out a token at a time in whole characters, and adds up to what the tokenizer makes of it all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_engine import tiny_tokenizer
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from byte_models import byte_tokenizer
from candor.engine.text import GrowingText, TokenText

BYTES = TokenText(byte_tokenizer())
WORDS = TokenText(tiny_tokenizer())
SIZE = 268


def piece_tokenizer() -> PreTrainedTokenizerFast:
    """A vocabulary as SentencePiece makes it: spaces at the starts of words, and single bytes."""
    names = ["<unk>", "▁the", "▁cat", "s", "▁", "é", *(f"<0x{byte:02X}>" for byte in range(256))]
    core = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, [], unk_token="<unk>"))
    core.decoder = decoders.Sequence(  # type: ignore[assignment]
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")


PIECES = TokenText(piece_tokenizer())


def streamed(text: TokenText, tokens: list[int]) -> list[str]:
    stream = text.stream()
    return [*(stream.push(token) for token in tokens), stream.finish()]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(tokens=st.lists(st.integers(0, SIZE - 1), max_size=30))
def test_pieces_of_any_bytes_add_up_to_the_tokenizers_text(tokens: list[int]) -> None:
    assert BYTES.exact
    assert "".join(streamed(BYTES, tokens)) == BYTES.decode(tokens)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(text=st.text(max_size=20))
def test_pieces_of_a_text_never_show_half_a_character(text: str) -> None:
    tokens = byte_tokenizer()(text, add_special_tokens=False)["input_ids"]
    pieces = streamed(BYTES, tokens)
    assert "".join(pieces) == text
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in text


@pytest.mark.parametrize("text", [WORDS, PIECES], ids=["words", "pieces"])
@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_other_vocabularies_are_decoded_in_a_window(text: TokenText, data: st.DataObject) -> None:
    assert not text.exact
    if text is WORDS:
        tokens = data.draw(st.lists(st.integers(0, 96), max_size=20))
    else:  # whole words, and whole characters as bytes
        parts = data.draw(st.lists(st.sampled_from([[1], [2], [3], [5], "é", "😀", "a"]), max_size=12))
        tokens = [
            token
            for part in parts
            for token in (part if isinstance(part, list) else [6 + byte for byte in part.encode()])
        ]
    pieces = streamed(text, tokens)
    assert "".join(pieces) == text.decode(tokens)
    assert all("\ufffd" not in piece for piece in pieces)


def test_text_that_goes_on_keeps_the_space_that_a_vocabulary_writes_before_words() -> None:
    assert "".join(streamed(PIECES, [1, 2])) == "the cat"
    stream = PIECES.stream(before=[1])
    assert stream.push(2) == " cat"


def test_a_token_is_shown_as_its_text_or_its_bytes() -> None:
    tokenizer = byte_tokenizer()
    (start,) = tokenizer("😀", add_special_tokens=False)["input_ids"][:1]
    assert BYTES.bytes_of(start) == "😀".encode()[:3]
    assert BYTES.shown(start) == "bytes:\\xf0\\x9f\\x98"
    assert BYTES.shown(2) == "<|end|>"
    assert BYTES.special(2)
    assert BYTES.bytes_of(9999) == b""
    assert [PIECES.bytes_of(token) for token in (1, 6 + 0xF0)] == [b" the", b"\xf0"]


class Letters:
    """A stream whose tokens are their own text."""

    def push(self, token: int) -> str:
        return chr(token)

    def finish(self) -> str:
        return ""


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    text=st.text("ab", max_size=14),
    stops=st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
)
def test_text_is_cut_before_the_first_stop_string_and_nothing_of_one_is_ever_shown(
    text: str, stops: list[str]
) -> None:
    # What a naive reader does: look for all stops after each character.
    expected, ended = text, False
    for length in range(1, len(text) + 1):
        found = [text[:length].find(stop) for stop in stops]
        if any(place >= 0 for place in found):
            expected, ended = text[: min(place for place in found if place >= 0)], True
            break
    growing, shown = GrowingText(Letters(), stops), ""
    stopped = False
    for character in text:
        stopped = growing.push(ord(character))
        piece = growing.take()
        shown += piece
        assert expected.startswith(shown)
        # Nothing is held back but what may begin a stop string.
        held = growing.text[len(shown) :]
        assert not held or any(stop.startswith(held) for stop in stops)
        if stopped:
            break
    growing.finish()
    assert shown + growing.take() == growing.text == expected
    assert stopped == ended == (growing.stopped is not None)
