"""Long conversations are learned from whole: each reply once, in a piece that fits and begins with a user."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from byte_models import TEMPLATE, byte_tokenizer
from candor.data.conversations import PLAIN_TEMPLATE, Conversation, Example, encode, encode_turns
from candor.data.encoded import Encoded, read_encoded, write_encoded
from candor.data.long_chats import Pieces, encode_pieces

# As Qwen 3's: what the last reply shows, earlier ones lose.
DROPPING = TEMPLATE.replace(
    "{{ m.content }}",
    "{% if m.role == 'assistant' and loop.last %}(thought) {% endif %}{{ m.content }}",
)
TEMPLATES = {"chat": TEMPLATE, "plain": PLAIN_TEMPLATE, "dropping": DROPPING}
TOKENIZERS = {name: byte_tokenizer(text) for name, text in TEMPLATES.items()}
# No letter of one reply stands in another's number, so that each can be told from its first token on.
WORDS = st.text("abc ", min_size=0, max_size=30)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Users, assistants and tools; long and short turns; with a system message or without, and unanswered."""
    messages = [{"role": "system", "content": "Be kind."}] if draw(st.booleans()) else []
    for exchange in range(draw(st.integers(1, 6))):
        messages.append({"role": "user", "content": f"u{exchange} {draw(WORDS)}"})
        for step in range(draw(st.integers(1, 3))):
            if step:
                messages.append({"role": "tool", "content": draw(WORDS)})
            messages.append({"role": "assistant", "content": f"r{exchange}.{step} {draw(WORDS)}"})
    if draw(st.booleans()):
        messages.append({"role": "user", "content": "u9 and then?"})
    return Conversation.model_validate({"messages": messages})


def learned(example: Example, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    pairs = zip(example.token_ids, example.supervised, strict=True)
    text = tokenizer.decode([token for token, learn in pairs if learn])
    return [part.replace("(thought) ", "").strip() for part in text.split("<|end|>")[:-1]]


def shortest(conversation: Conversation, place: int, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens of a reply behind no more than its own exchange and the system message."""
    turns = conversation.messages
    begin = max(at for at in range(place) if turns[at].role == "user")
    head = turns[:1] if turns[0].role == "system" else ()
    part = conversation.model_copy(update={"messages": (*head, *turns[begin : place + 1])})
    return len(encode(part, tokenizer, last_only=True).token_ids)


@settings(max_examples=150, deadline=None)
@given(conversations(), st.integers(20, 200), st.sampled_from(sorted(TEMPLATES)))
def test_each_reply_is_learned_once_unless_it_fits_nowhere(
    conversation: Conversation, limit: int, template: str
) -> None:
    tokenizer = TOKENIZERS[template]
    found = encode_pieces(conversation, tokenizer, max_tokens=limit)
    fits = [
        turn.content.strip()
        for place, turn in enumerate(conversation.messages)
        if turn.role == "assistant" and shortest(conversation, place, tokenizer) <= limit
    ]
    replies = sum(turn.role == "assistant" for turn in conversation.messages)
    assert [text for example in found.examples for text in learned(example, tokenizer)] == fits
    assert found.lost == replies - len(fits)
    for example in found.examples:
        assert len(example.token_ids) <= limit
        assert opening(example, tokenizer) == expected_opening(conversation, example, tokenizer, template)


def opening(example: Example, tokenizer: PreTrainedTokenizerBase) -> str:
    return tokenizer.decode(example.token_ids)


def expected_opening(
    conversation: Conversation, example: Example, tokenizer: PreTrainedTokenizerBase, template: str
) -> str:
    """The text of an example as the template writes that run of turns: system, then from a user's turn on."""
    turns = conversation.messages
    last = learned(example, tokenizer)[-1]
    end = next(at for at, turn in enumerate(turns) if turn.content.strip() == last) + 1
    head = turns[:1] if turns[0].role == "system" else ()
    text = tokenizer.decode(example.token_ids)
    for begin, turn in enumerate(turns):
        if turn.role == "user" and begin < end:
            part = conversation.model_copy(update={"messages": (*head, *turns[begin:end])})
            again = encode(part, tokenizer, last_only=template == "dropping")
            if tokenizer.decode(again.token_ids) == text:
                return text
    return "a text that begins elsewhere"


@settings(max_examples=60, deadline=None)
@given(conversations(), st.sampled_from(sorted(TEMPLATES)))
def test_what_fits_is_encoded_as_ever(conversation: Conversation, template: str) -> None:
    tokenizer = TOKENIZERS[template]
    found = encode_pieces(conversation, tokenizer, max_tokens=10_000)
    assert found == Pieces(tuple(encode_turns(conversation, tokenizer)))


def talk(*turns: str, system: str | None = None, weight: float = 1.0) -> Conversation:
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(turns)]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    return Conversation.model_validate({"messages": messages, "weight": weight})


def test_pieces_are_as_long_as_they_can_be_and_keep_the_system_message_and_the_weight() -> None:
    tokenizer = TOKENIZERS["chat"]
    conversation = talk(*["uu", "rr"] * 5, system="ss", weight=0.5)
    two = len(encode(talk(*["uu", "rr"] * 2, system="ss"), tokenizer).token_ids)
    found = encode_pieces(conversation, tokenizer, max_tokens=two)
    texts = [tokenizer.decode(example.token_ids) for example in found.examples]
    assert [text.count("rr") for text in texts] == [2, 2, 1]
    assert all(text.startswith("<|turn|>system ss<|end|>\n<|turn|>user uu") for text in texts)
    assert {example.weight for example in found.examples} == {0.5}
    assert (found.lost, found.cut) == (0, True)


def test_a_reply_too_long_for_any_piece_is_lost_and_the_rest_is_not() -> None:
    tokenizer = TOKENIZERS["chat"]
    found = encode_pieces(talk("a", "one", "b", "x" * 200, "c", "two"), tokenizer, max_tokens=60)
    assert [learned(example, tokenizer) for example in found.examples] == [["one"], ["two"]]
    assert found == Pieces(found.examples, lost=1, cut=True)
    assert encode_pieces(talk("a", "x" * 200), tokenizer, max_tokens=60) == Pieces((), 1, True)


def test_a_long_conversation_costs_little_more_than_reading_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = byte_tokenizer()
    seen = []
    whole = type(tokenizer).__call__

    def counted(self: PreTrainedTokenizerBase, text: str, **options: object) -> object:
        seen.append(len(text))
        return whole(self, text, **options)

    monkeypatch.setattr(type(tokenizer), "__call__", counted)
    turns = [f"Question {i}, and a few more words to read." for i in range(120)]
    found = encode_pieces(talk(*turns), tokenizer, max_tokens=600)
    assert len(found.examples) > 8
    assert sum(seen) < 10 * sum(map(len, turns))


def test_examples_come_back_from_disk_as_they_were(tmp_path) -> None:
    tokenizer = TOKENIZERS["chat"]
    talks: Sequence[Conversation] = [talk("a", "b", "c", "d", weight=0.25), talk("e", "f")]
    rows = [0, 0, 1]
    examples = [example for one in talks for example in encode_pieces(one, tokenizer, max_tokens=30).examples]
    assert len(examples) == 3
    write_encoded(tmp_path / "a.safetensors", Encoded(examples, rows))
    found = read_encoded(tmp_path / "a.safetensors")
    assert found == Encoded(examples, rows)
    assert json.dumps(found.examples[0].token_ids)  # plain numbers, not numpy's
    assert found.of_first(1) == Encoded(examples[:2], rows[:2])
