"""Documents of a source, one after the other: files, a data set of the hub, or an embedded corpus."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from candor.base.recipe import CorpusSettings, SourceSettings
from candor.base.stated import stated_documents
from candor.core.errors import InputError
from candor.data.articles import article_documents
from candor.data.chitchat import chitchat_documents
from candor.data.documents import Skipped, stream_documents
from candor.data.hub import hub_rows
from candor.data.types import Document


def documents_of(source: SourceSettings, corpus: CorpusSettings, seed: int) -> Iterator[Document | Skipped]:
    """Yield a source's documents in an order that is always the same.

    Raises:
        CandorError: it can't be read, or a package for it is missing.
    """
    found: Iterator[Document | Skipped]
    if source.path is not None:
        found = stream_documents(source.path, source.column)
    elif source.hub is not None:
        found = _hub(source)
    elif source.embedded == "conversations":
        found = chitchat_documents()
    elif source.embedded == "articles":
        found = article_documents()
    else:
        found = stated_documents(corpus.stated, seed)
    return found if source.documents is None else islice(found, source.documents)


def _hub(source: SourceSettings) -> Iterator[Document | Skipped]:
    assert source.hub is not None
    name = source.hub
    rows = hub_rows(name, config=source.config, split=source.split, revision=source.revision)
    for number, row in rows:
        if source.column not in row:
            raise InputError(
                f"there is no such column; it has {', '.join(row)}",
                path=name,
                field=source.column,
                fix="name the column that holds the text: column = …",
            )
        text = str(row[source.column] or "").strip()
        place = f"{name}:{number}"
        if text:
            yield Document(id=place, title=str(row.get("title") or ""), text=text, source=place)
        else:
            yield Skipped(place, "it holds no text")
