"""The packaged conversations: clean, alternating, the same for the same seed, and true."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from candor.data import fact_dialogues as module
from candor.data.conversations import Conversation
from candor.data.embedded_chats import EMBEDDED_CHATS, EmbeddedName, embedded_chats
from candor.data.fact_dialogues import _KINDS, _NAMING, _entities, fact_dialogues
from candor.data.facts import embedded_questions
from candor.data.types import Question

NAMES: list[EmbeddedName] = list(EMBEDDED_CHATS)


@pytest.mark.parametrize("name", NAMES)
def test_user_and_assistant_take_turns_and_the_assistant_has_the_last_word(name: EmbeddedName) -> None:
    rows = list(embedded_chats(name))
    assert len({identity for identity, _ in rows}) == len(rows) > 500
    for _, conversation in rows:
        roles = [turn.role for turn in conversation.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert all(turn.content == turn.content.strip() != "" for turn in conversation.messages)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_order_and_a_count_its_beginning(name: EmbeddedName) -> None:
    whole = list(embedded_chats(name, seed=3))
    assert list(embedded_chats(name, 20, 3)) == whole[:20]
    assert list(embedded_chats(name, 20, 4)) != whole[:20]
    assert list(embedded_chats(name, 0)) == []


def test_nobody_mentions_an_account_or_a_site() -> None:
    rows = list(embedded_chats("chitchat"))
    assert 3_800 < len(rows) < 4_017
    text = "\n".join(turn.content for _, conversation in rows for turn in conversation.messages)
    assert not re.search(r"@\w|https?:|www\.|youtube\.com", text, flags=re.I)
    assert max(len(conversation.messages) for _, conversation in rows) > 50


def test_short_answers_are_the_first_accepted_ones() -> None:
    questions = {question.id: question for question in embedded_questions(1)}
    rows = list(embedded_chats("facts", seed=1))
    assert len(rows) == len(questions)
    for identity, conversation in rows:
        asked, told = conversation.messages
        assert (asked.content, told.content) == (questions[identity].question, questions[identity].answers[0])


@pytest.fixture(scope="module")
def dialogues() -> list[tuple[str, Conversation]]:
    return list(fact_dialogues(2_000, seed=0))


def exchanges(conversation: Conversation) -> Iterator[tuple[str, str]]:
    turns = [turn.content for turn in conversation.messages]
    return zip(turns[::2], turns[1::2], strict=True)


def test_every_answer_is_an_accepted_one_of_what_was_asked(
    dialogues: list[tuple[str, Conversation]],
) -> None:
    entities = {entity.id: entity for entity in _entities(0)}
    by_name = {entity.name: entity for entity in entities.values()}
    other = re.compile(r"(?:And for|And|What about|The same question for) (.+?)(?:\?|, please\.)")
    changes = 0
    for identity, conversation in dialogues:
        entity = entities[identity.rpartition("/dialogue/")[0]]
        kinds: set[str] = set()
        for asked, told in exchanges(conversation):
            questions = {**entity.facts, **entity.naming}
            if (match := other.fullmatch(asked)) and match[1] in by_name:
                questions = by_name[match[1]].facts  # of the kind that was asked before
                changes += 1
            else:
                kinds = kinds_of(asked, questions)
            accepted = [answer for kind in kinds & set(questions) for answer in questions[kind].answers]
            assert any(answer.lower() in told.lower() for answer in accepted), (identity, asked, told)
    assert 0.2 < changes / len(dialogues) < 0.3


def kinds_of(asked: str, questions: dict[str, Question]) -> set[str]:
    whole = {kind for kind, question in questions.items() if question.question == asked}
    return whole or {
        kind
        for kind, words in _KINDS.items()
        if asked in words.ellipses or any(asked.endswith(ask) for ask in words.asks)
    }


def test_after_the_first_exchange_the_entity_is_not_named_again(
    dialogues: list[tuple[str, Conversation]],
) -> None:
    names = {entity.id: entity.name for entity in _entities(0)}
    for identity, conversation in dialogues:
        name = names[identity.rpartition("/dialogue/")[0]]
        (asked, told), *later = exchanges(conversation)
        assert name.lower().removeprefix("the ") in f"{asked} {told}".lower()
        assert not any(name in asked for asked, _ in later)


def test_later_questions_are_not_questions_of_their_own(dialogues: list[tuple[str, Conversation]]) -> None:
    whole = {question.question for question in embedded_questions(0)}
    later = [asked for _, conversation in dialogues for asked, _ in list(exchanges(conversation))[1:]]
    assert not whole & set(later)
    ellipses = [asked for asked in later if not re.search(r"\b(?:its?|there|that)\b", asked, flags=re.I)]
    assert 0.1 < len(ellipses) / len(later) < 0.5


def test_dialogues_differ_and_have_many_wordings(dialogues: list[tuple[str, Conversation]]) -> None:
    texts = [tuple(turn.content for turn in conversation.messages) for _, conversation in dialogues]
    assert len(set(texts)) == len(texts) == 2_000
    assert {len(text) // 2 for text in texts} >= {2, 3, 4, 5, 6}
    first_words = Counter(" ".join(asked.split()[:2]) for text in texts for asked in text[2::2])
    assert len(first_words) > 40
    assert "{" not in "".join(map("".join, texts))
    assert not [turn for text in texts for turn in text if ".." in turn or "the the" in turn.lower()]


def test_an_answer_that_names_another_thing_is_followed_by_no_pronoun(
    dialogues: list[tuple[str, Conversation]],
) -> None:
    last = {ask for kind in _KINDS.values() if kind.last for ask in (*kind.asks, *kind.ellipses)}
    rest = {ask for kind in _KINDS.values() if not kind.last for ask in (*kind.asks, *kind.ellipses)}
    for _, conversation in dialogues:
        asked = [asked for asked, _ in exchanges(conversation)]
        for before, after in pairwise(asked):
            assert not (before in last - rest and after in rest - last), asked


def test_every_kind_of_fact_can_be_asked_about() -> None:
    assert {question.kind for question in embedded_questions(0)} == {*_KINDS, *_NAMING}


def test_more_than_can_be_told_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    few = [entity for entity in _entities(0) if len(entity.facts) == 2][:1]
    monkeypatch.setattr(module, "_entities", lambda seed: few)
    with pytest.raises(ValueError, match="there are no 100000 different dialogues"):
        list(fact_dialogues(100_000))
