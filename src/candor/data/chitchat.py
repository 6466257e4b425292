"""Conversations between people who did not know each other, from the chitchat-dataset package (MIT).

Myers, Etchart and Fulda 2020, "Conversational Scaffolding", of Brigham Young University: 7,168 conversations
of volunteers who were given a question to start from.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from candor.core.files import read_json
from candor.data.facts.entry import package
from candor.data.types import Document

_SPEAKERS = ("A", "B")


def chitchat_turns() -> Iterator[tuple[str, list[str]]]:
    """Yield (id, turns) of each conversation in which both speak; turns alternate between the two.

    What one says in several messages before the other answers is one turn.

    Raises:
        CandorError: the package is not installed.
    """
    file = Path(str(package("chitchat_dataset").__file__)).with_name("dataset.json")
    for identity, conversation in read_json(file).items():
        messages = [message for group in conversation["messages"] for message in group]
        turns = [_joined(said) for _, said in groupby(messages, key=lambda message: message["sender"])]
        turns = [turn for turn in turns if turn]
        if len(turns) > 1 and len({message["sender"] for message in messages}) == len(_SPEAKERS):
            yield identity, turns


def chitchat_documents() -> Iterator[Document]:
    """Yield each conversation as a text of lines that begin with `A:` or `B:`.

    Raises:
        CandorError: the package is not installed.
    """
    for identity, turns in chitchat_turns():
        lines = [f"{_SPEAKERS[number % 2]}: {turn}" for number, turn in enumerate(turns)]
        yield Document(id=f"chitchat/{identity}", text="\n".join(lines), source="chitchat-dataset")


def _joined(messages: Any) -> str:
    return " ".join(" ".join(str(message["text"]).split()) for message in messages).strip()
