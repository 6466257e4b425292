"""Documents of a source, one after the other: files, a data set of the hub, or an embedded corpus."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from candor.base.recipe import CorpusSettings, SourceSettings
from candor.base.stated import stated_documents
from candor.core.errors import CandorError, InputError
from candor.data.articles import article_documents
from candor.data.chitchat import chitchat_documents
from candor.data.documents import Skipped, stream_documents
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
    try:
        import datasets  # noqa: PLC0415  (an optional extra)
    except ImportError as error:
        raise CandorError(
            "reading a Hugging Face data set needs the package 'datasets'",
            fix='pip install "candor-lm[hub]", or give a path',
        ) from error
    assert source.hub is not None
    name = source.hub
    try:
        rows: Any = datasets.load_dataset(
            name, source.config, split=source.split, revision=source.revision, streaming=True
        )
        for number, row in enumerate(rows):
            if source.column not in row:
                raise InputError(  # noqa: TRY301
                    f"there is no such column; it has {', '.join(row)}",
                    path=name,
                    field=source.column,
                    fix="name the column that holds the text: column = …",
                )
            text = str(row[source.column] or "").strip()
            place = f"{name}:{number + 1}"
            if text:
                yield Document(id=place, title=str(row.get("title") or ""), text=text, source=place)
            else:
                yield Skipped(place, "it holds no text")
    except InputError:
        raise
    # Whatever goes wrong in there is about the name, the network or a login.
    except (OSError, ValueError, LookupError, RuntimeError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise CandorError(
            f"{name}: this data set can't be read ({first})",
            fix="check hub, config, split and revision; without a network give a path",
        ) from error
