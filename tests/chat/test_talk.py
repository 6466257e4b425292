"""A conversation in turns: what was said stays, what is taken back goes, what the model reads can be seen."""

from __future__ import annotations

import pytest

from byte_models import byte_engine
from candor.chat.talk import Talk
from candor.core.errors import CandorError
from candor.engine.protocol import Sampling

DRAWN = Sampling(max_tokens=12, temperature=1.0, seed=3)


def test_pieces_add_up_to_the_reply_that_is_kept() -> None:
    talk = Talk(byte_engine(), DRAWN)
    pieces = "".join(talk.say("hello"))
    assert pieces.strip() == talk.turns[1]["content"]
    assert [turn["role"] for turn in talk.turns] == ["user", "assistant"]


def test_replies_are_those_of_the_engine() -> None:
    engine = byte_engine()
    talk = Talk(engine, DRAWN, system="be brief")
    said = "".join(talk.say("hello"))
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    (generation,) = engine.generate([messages], DRAWN)
    assert generation.completions[0].text == said


def test_the_model_reads_all_that_was_said() -> None:
    talk = Talk(byte_engine(), DRAWN, system="be brief")
    for words in ("hello", "well"):
        list(talk.say(words))
    text, tokens = talk.read()
    assert text.startswith("<|turn|>system be brief<|end|>")
    assert text.index("hello") < text.index("well")
    assert text.endswith("<|turn|>assistant ")
    assert [shown for _, shown, special in tokens if special].count("<|turn|>") == 6


def test_a_turn_can_be_taken_back() -> None:
    talk = Talk(byte_engine(), DRAWN)
    list(talk.say("hello"))
    before = talk.read()
    list(talk.say("well"))
    assert talk.undo()
    assert talk.read() == before
    assert talk.undo()
    assert not talk.undo()


def test_a_reply_that_is_stopped_is_kept_as_far_as_it_came() -> None:
    talk = Talk(byte_engine(), Sampling(max_tokens=64, temperature=1.0, ignore_end=True))
    reply = talk.say("hello")
    first = next(reply)
    reply.close()
    assert talk.turns[1]["content"].startswith(first.strip())
    assert len(talk.turns[1]["content"]) < 64


def test_a_conversation_too_long_for_the_model_says_so_and_loses_nothing() -> None:
    talk = Talk(byte_engine(context=64), DRAWN)
    list(talk.say("hello"))
    turns = list(talk.turns)
    with pytest.raises(CandorError, match="reads 64"):
        list(talk.say("x" * 60))
    assert talk.turns == turns


def test_a_reply_that_fills_the_context_is_told_from_one_of_the_longest_length() -> None:
    endless = Sampling(max_tokens=12, temperature=1.0, ignore_end=True)
    short = Talk(byte_engine(context=512), endless)
    list(short.say("hello"))
    assert (short.cut, short.full) == (True, False)
    small = Talk(byte_engine(context=36), Sampling(max_tokens=64, temperature=1.0, ignore_end=True))
    list(small.say("hello"))
    assert (small.cut, small.full) == (True, True)
