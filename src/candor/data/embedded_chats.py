"""Conversations that come with packages: people who chat, questions about facts, and dialogues about them.

Each source is a function of how many and a seed that yields (id, conversation); the same seed gives the same
ones on every machine with the same package versions.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Literal

from candor.data.chitchat import chitchat_turns
from candor.data.conversations import Conversation
from candor.data.fact_dialogues import conversation_of_two, fact_dialogues
from candor.data.facts import embedded_questions

EmbeddedName = Literal["chitchat", "facts", "facts_dialogue"]
EmbeddedChats = Callable[[int | None, int], Iterator[tuple[str, Conversation]]]  # of how many, and a seed

# Mentions (and mail addresses), links, and bare names of sites.
_UNCLEAN = re.compile(r"@\w|https?:|www\.|\b[\w-]+\.(?:com|org|net|edu|gov|io|ly|be|tv)\b", re.IGNORECASE)
_FEWEST = 2


def embedded_chats(
    name: EmbeddedName, count: int | None = None, seed: int = 0
) -> Iterator[tuple[str, Conversation]]:
    """Yield (id, conversation) of an embedded source.

    Args:
        name: one of `EMBEDDED_CHATS`.
        count: so many and no more; None for all (of `facts_dialogue`: one for each entity).
        seed: which come first, and for facts their entities and wordings.

    Raises:
        CandorError: a package is not installed.
    """
    return EMBEDDED_CHATS[name](count, seed)


def chitchat_chats(count: int | None = None, seed: int = 0) -> Iterator[tuple[str, Conversation]]:
    """Yield conversations between two people, the one who answers first as the assistant.

    A last turn that nobody answers is dropped. Conversations in which someone mentions an account or a site
    are left out: whoever learns from them would invent others.

    Raises:
        CandorError: the package is not installed.
    """
    kept = []
    for identity, turns in chitchat_turns():
        answered = turns[: len(turns) // 2 * 2]
        if len(answered) >= _FEWEST and all(map(_clean, answered)):
            kept.append((identity, answered))
    random.Random(f"{seed}:chitchat").shuffle(kept)
    for identity, turns in islice(kept, count):
        yield f"chitchat/{identity}", conversation_of_two(turns)


def fact_chats(count: int | None = None, seed: int = 0) -> Iterator[tuple[str, Conversation]]:
    """Yield questions about packaged facts with their short answers, one a conversation.

    Their ids begin with the entity's, as those of `fact_dialogues` do: `country/japan/capital`.

    Raises:
        CandorError: the packages of facts are not installed.
    """
    questions = list(embedded_questions(seed))
    random.Random(f"{seed}:facts").shuffle(questions)
    for question in islice(questions, count):
        yield question.id, conversation_of_two((question.question, question.answers[0]))


EMBEDDED_CHATS: dict[EmbeddedName, EmbeddedChats] = {
    "chitchat": chitchat_chats,
    "facts": fact_chats,
    "facts_dialogue": fact_dialogues,
}


def _clean(turn: str) -> bool:
    return bool(turn.strip()) and not _UNCLEAN.search(turn)
