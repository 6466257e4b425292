"""The plain data that stages hand to each other: documents, chunks, questions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

NonEmpty = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Row(BaseModel):
    """A row of a JSONL file: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Document(Row):
    """One document: `text` is plain text, `id` unique within a run."""

    id: NonEmpty
    title: str = ""
    text: str
    source: str = ""  # the file it came from, with the line or row where there is one


class Chunk(Row):
    """A passage of a document: `text == document.text[start:end]`."""

    id: NonEmpty  # "<document id>#<index>"
    document: NonEmpty
    title: str = ""
    text: str
    start: int
    end: int


class Question(Row):
    """A question with its accepted answers.

    `document` is the unit of the train / validation / test split. `kind` groups questions of one type
    ("capital", "who", …) so that a probe can be tested across types. `origin` says where it came from:
    written by a model from a chunk, given by the user, rendered from a packaged fact, or invented (about
    something that does not exist, so that the only right answer is "I don't know").
    """

    id: NonEmpty
    question: NonEmpty
    answers: tuple[NonEmpty, ...]
    document: NonEmpty
    kind: str = ""
    origin: Literal["generated", "given", "fact", "invented"] = "given"
    chunk: str | None = None
    span: tuple[int, int] | None = Field(
        default=None, description="[start, end) of the answer in the chunk's text"
    )
