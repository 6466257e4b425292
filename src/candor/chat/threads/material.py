"""What the cases are written from: templates, pools of values, and exchanges to put in between.

All of it was written for this purpose and is no part of any training set that Candor packages.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from candor.chat.threads.case import Category
from candor.core.files import Model, read_jsonl
from candor.data.types import NonEmpty, Row


class Value(Row):
    """Something that a conversation mentions: what is said, and how a reply may say it."""

    say: NonEmpty
    reply: str = ""  # what the carrier sentence takes; "": as said
    accept: tuple[NonEmpty, ...] = ()  # forms that a free reply may use; (): the reply's own
    case: bool = False
    least: int | None = None
    most: int | None = None

    @property
    def replied(self) -> str:
        """What stands in the carrier sentence."""
        return self.reply or self.say

    @property
    def accepted(self) -> tuple[str, ...]:
        """Word forms of a right reply."""
        return self.accept or (self.replied.rstrip(".!"),)


class Pool(Row):
    """Values of one kind, any two of which can stand against each other."""

    pool: NonEmpty
    values: tuple[Value, ...] = Field(min_length=2)

    @field_validator("values", mode="before")
    @classmethod
    def _plain(cls, values: Any) -> Any:
        return [{"say": value} if isinstance(value, str) else value for value in values]


class Choice(Row):
    """Two values that belong to one last turn: for instructions about style."""

    question: NonEmpty
    values: tuple[Value, Value]


class Ask(Row):
    """A last turn: which of the values it asks for, and the short reply with {} for the value.

    `never` are words of a reply that gives the value to the wrong person or thing ("Your sister's favourite
    colour is white" to "And mine?"). {} is the right value in them too.
    """

    slot: Literal[1, 2]
    question: NonEmpty  # {q}: the choice's question
    reply: NonEmpty
    never: tuple[NonEmpty, ...] = ()


class Form(Row):
    """One way in which a template's conversation goes.

    `turns` alternate, the user's first. {1} and {2} stand for the values. `alone` is the control's only
    turn; without it, the user's turns and the question are joined.
    """

    turns: tuple[NonEmpty, ...] = Field(min_length=1)
    asks: tuple[Ask, ...] = Field(min_length=1)
    alone: str = ""


class Template(Row):
    """Conversations of one plot. Two values come from the pool named `values`, or from one of `choices`."""

    id: NonEmpty
    category: Category
    values: str = ""
    choices: tuple[Choice, ...] = ()
    forms: tuple[Form, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _sourced(self) -> Template:
        if bool(self.values) == bool(self.choices):
            raise ValueError("give values (the name of a pool) or choices, and not both")
        return self


class Filler(Row):
    """A neutral exchange about something else, a pause, or an assistant's neutral answer to a statement."""

    kind: Literal["chat", "pause", "answer"]
    user: str = ""
    assistant: NonEmpty


def templates() -> tuple[Template, ...]:
    """All templates, in a fixed order."""
    return _read("templates.jsonl", Template)


def pools() -> dict[str, tuple[Value, ...]]:
    """Values by the name of their pool."""
    return {row.pool: row.values for row in _read("values.jsonl", Pool)}


def fillers(kind: str) -> list[Filler]:
    """The fillers of one kind."""
    return [row for row in _read("fillers.jsonl", Filler) if row.kind == kind]


@lru_cache(maxsize=8)
def _read(name: str, model: type[Model]) -> tuple[Model, ...]:
    with as_file(files("candor.chat.threads") / name) as path:
        return tuple(read_jsonl(path, model))
