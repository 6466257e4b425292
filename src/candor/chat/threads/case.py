"""One held-out conversation with what a right last reply must and must not say."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, cast

from pydantic import Field

from candor.data.conversations import Turn
from candor.data.types import NonEmpty, Row
from candor.engine.protocol import Message

Category = Literal["recall", "reference", "correction", "consistency", "constraint", "single"]
CATEGORIES: tuple[Category, ...] = (
    "recall",
    "reference",
    "correction",
    "consistency",
    "constraint",
    "single",
)

# A model that does not stop goes on to play the user; what it says after that is no reply.
_NEXT_TURN = re.compile(r"\n\s*(?:user|human|question|q|assistant|answer|a)\s*:", re.I)
# "It is Leeds, not in Bradford" names Bradford without asserting it.
_DENIED = re.compile(
    r"(?:\b(?:not|never|no longer|instead of|rather than)|n't)"
    r"\s+(?:(?:at|in|on|by|to|from|with|for|a|an|the|your|my|as|called)\s+){0,3}[\"'(]*$",
    re.I,
)
_WORD = re.compile(r"[^\W_]+(?:['’.:][^\W_]+)*")


class Check(Row):
    """Rules for a reply, as data.

    One of `any_of` has to stand in it as whole words, and none of `none_of`: the distractor's forms, and
    words that would give the right value to somebody else ("your sister's", asked for one's own). A word
    that the reply only denies ("not Elena") does not count as said, on either side. A reply that lists both
    values is therefore wrong, also where it keeps them apart ("You live in Leeds and grew up in Lyon"): the
    rules can't tell that from a model that hedges its bets. Who speaks is not looked at: "I'm a nurse"
    passes where "You are a nurse" was meant, since small models often give a turn back as it was said.
    """

    any_of: tuple[NonEmpty, ...] = Field(min_length=1)
    none_of: tuple[NonEmpty, ...] = ()
    case: bool = Field(default=False, description="capital letters count")
    least: int | None = Field(default=None, ge=1, description="fewest words of the reply")
    most: int | None = Field(default=None, ge=1, description="most words of the reply")

    def holds(self, reply: str) -> bool:
        """Whether the reply, up to where the model begins to write another turn, keeps the rules."""
        text = _NEXT_TURN.split(reply, maxsplit=1)[0].replace("’", "'").replace("*", "").strip()
        length = len(_WORD.findall(text))
        if (self.least is not None and length < self.least) or (self.most is not None and length > self.most):
            return False
        said = any(_asserts(text, word, self.case) for word in self.any_of)
        return said and not any(_asserts(text, word, self.case) for word in self.none_of)


class Case(Row):
    """A conversation that ends with a user turn, and two short replies to weigh against each other.

    Cases come in mirrored pairs: the twin has the same words, with the two values exchanged wherever an
    earlier turn mentions them. The last turn and the two replies are the same in both, but the right reply
    of one is the wrong reply of the other. So whatever prefers one reply without reading the earlier turns
    is right in exactly one of the two.
    """

    id: NonEmpty
    pair: NonEmpty  # shared by a case and its twin
    template: NonEmpty  # cases of one template are not independent
    category: Category
    about: Category  # as `category`; of a control, the category of the thread cases that it belongs to
    messages: tuple[Turn, ...] = Field(min_length=1)
    needs: tuple[int, ...] = Field(min_length=1, description="indices of the messages that hold the answer")
    check: Check
    right: NonEmpty  # the right reply and the distractor's, in the same carrier sentence
    wrong: NonEmpty
    values: tuple[NonEmpty, NonEmpty] = Field(description="as the conversation says them: right, distractor")

    @property
    def prompt(self) -> list[Message]:
        """The conversation as engines take it."""
        return _as_messages(self.messages)

    @property
    def last(self) -> list[Message]:
        """The last turn alone: the control."""
        return _as_messages(self.messages[-1:])


def mentions(text: str, word: str, *, case: bool = False) -> bool:
    """Whether a text has a word or phrase as whole words."""
    return _pattern(word, case).search(text) is not None


def _asserts(text: str, word: str, case: bool) -> bool:
    return any(not _DENIED.search(text[: found.start()]) for found in _pattern(word, case).finditer(text))


@lru_cache(maxsize=2048)
def _pattern(word: str, case: bool) -> re.Pattern[str]:
    # A time may have am or pm stuck to it.
    tail = r"(?:\s?[ap]m)?(?!\w)" if word[-1].isdigit() and ":" in word else r"(?!\w)"
    return re.compile(rf"(?<![\w:]){re.escape(word)}{tail}", 0 if case else re.I)


def _as_messages(turns: tuple[Turn, ...]) -> list[Message]:
    return [cast("Message", turn.model_dump()) for turn in turns]
