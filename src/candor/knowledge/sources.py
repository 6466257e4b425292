"""Where a run's questions come from: given, written from documents, or rendered from packaged facts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from candor.core.draws import draw
from candor.data.chunks import chunk_document
from candor.data.documents import read_corpus
from candor.data.questions import GivenQuestions, read_given_questions
from candor.data.types import Chunk, Document, Question
from candor.knowledge.recipe import DataSettings

Drawn = TypeVar("Drawn", Document, Question)


def documents(data: DataSettings, seed: int) -> tuple[list[Document], list[str]]:
    """The run's documents and notes about what was left out.

    Raises:
        InputError: they can't be read, or there is nothing in them.
    """
    notes: list[str] = []
    if data.documents is None:
        from candor.data.facts import embedded_documents  # noqa: PLC0415  (an optional extra)

        found = embedded_documents()
    else:
        corpus = read_corpus(data.documents)
        found = corpus.documents
        if corpus.skipped:
            shown = "; ".join(f"{skip.place}: {skip.reason}" for skip in corpus.skipped[:3])
            notes.append(f"{len(corpus.skipped)} files were skipped ({shown})")
    limit = len(found) if data.max_documents is None else data.max_documents
    return drawn(found, limit, seed), notes


def chunks(found: Sequence[Document], words: int) -> list[Chunk]:
    """Passages of all documents."""
    return [chunk for document in found for chunk in chunk_document(document, max_words=words)]


def given_questions(path: Path) -> GivenQuestions:
    """The user's own questions.

    Raises:
        InputError: the file can't be read, a row is wrong, or there is no question in it.
    """
    return read_given_questions(path)


def top_up(kept: Sequence[Question], documents: set[str], wanted: int, seed: int) -> list[Question]:
    """Questions rendered from the packaged facts, so that there are `wanted` in all.

    Facts whose question the generator already wrote are left out.
    """
    from candor.data.facts import embedded_questions  # noqa: PLC0415  (an optional extra)

    asked = {(question.document, answer.casefold()) for question in kept for answer in question.answers}
    facts = [
        question
        for question in embedded_questions()
        if question.document in documents
        and not any((question.document, answer.casefold()) in asked for answer in question.answers)
    ]
    return drawn(facts, max(0, wanted - len(kept)), seed)


def drawn(rows: Sequence[Drawn], count: int, seed: int) -> list[Drawn]:
    """At most `count` rows, drawn and ordered by a hash of their ids: more rows asked for keep the first."""
    return sorted(rows, key=lambda row: draw(f"drawn:{seed}:{row.id}"))[:count]
