"""Read a user's documents: one file, or every readable file of a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from candor.core.errors import InputError, printable
from candor.data.formats import READERS, Passage, extension_of, reader_of
from candor.data.types import Document

_EXTENSIONS = ", ".join(READERS)


@dataclass(frozen=True)
class Skipped:
    """Something under the given path that gave no document, and why."""

    place: str  # a file, with ":<line or row>" where it is a part of one
    reason: str


@dataclass(frozen=True)
class Corpus:
    """What was read and what was left out."""

    documents: list[Document]
    skipped: list[Skipped] = field(default_factory=list)


def read_corpus(path: Path | str) -> Corpus:
    """Read a file or, recursively and in sorted order, a folder.

    Ids are those that JSONL and Parquet rows give, otherwise the path within the folder (with `:<line>` for
    a row). Hidden files are passed over in silence; files of other types, documents without text and
    documents whose text is exactly that of an earlier one (which would leak between splits made by
    document) are listed in `skipped`.

    Raises:
        InputError: nothing is there, nothing is readable, everything is empty, a file is broken, or two
            rows give the same id. The message names the place, and `fix` what to do.
    """
    documents: list[Document] = []
    skipped: list[Skipped] = []
    places: dict[str, str] = {}  # id -> where it was given
    texts: dict[str, str] = {}  # text -> id
    for found in stream_documents(path):
        if isinstance(found, Skipped):
            skipped.append(found)
            continue
        if found.id in places:
            raise InputError(
                f"the id {found.id!r} was already given at {places[found.id]}",
                path=found.source,
                field="id",
                fix="give each document an id of its own, or remove the ids: then places serve as ids",
            )
        places[found.id] = found.source
        if found.text in texts:
            skipped.append(Skipped(found.source, f"its text is the same as that of {texts[found.text]!r}"))
            continue
        texts[found.text] = found.id
        documents.append(found)
    if not documents:
        raise InputError(
            "every document here is empty: " + "; ".join(f"{s.place}: {s.reason}" for s in skipped[:3]),
            path=path,
            fix="give documents with text in them",
        )
    return Corpus(documents, skipped)


def stream_documents(path: Path | str, column: str = "text") -> Iterator[Document | Skipped]:
    """Read like `read_corpus`, one at a time and without comparing documents with one another.

    Args:
        path: a file or a folder.
        column: the field of JSONL and Parquet rows that holds the text.

    Raises:
        InputError: nothing is there, nothing is readable, or a file is broken.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("no such file or folder", path=path, fix="check the path")
    files, skipped = _files_under(path)
    yield from skipped
    for file in files:
        for passage, place, identity in _passages(file, path, column):
            text = passage.text.strip()
            if text:
                yield Document(id=identity, title=passage.title.strip(), text=text, source=place)
            else:
                hint = " (a scan? run OCR on it first)" if extension_of(file) == ".pdf" else ""
                yield Skipped(place, f"it holds no text{hint}")


def _passages(file: Path, root: Path, column: str) -> Iterator[tuple[Passage, str, str]]:
    """Yield (passage, its place for messages, its id) for each document in a file."""
    relative = printable(file.relative_to(root) if root.is_dir() else file.name)
    for passage in reader_of(file, column)(file):
        row = "" if passage.row is None else f":{passage.row}"
        given = (passage.id or "").strip()
        yield passage, f"{printable(file)}{row}", given or f"{relative}{row}"


def _files_under(path: Path) -> tuple[list[Path], list[Skipped]]:
    if path.is_file():
        if extension_of(path) not in READERS:
            raise InputError(
                f"can't read {extension_of(path) or 'files without an extension'}",
                path=path,
                fix=f"give one of {_EXTENSIONS}, or a folder of them",
            )
        return [path], []
    visible = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not visible:
        raise InputError("the folder is empty", path=path, fix=f"put documents into it: {_EXTENSIONS}")
    readable = [file for file in visible if extension_of(file) in READERS]
    if not readable:
        found = Counter(extension_of(file) or "no extension" for file in visible)
        counts = ", ".join(f"{count} × {name}" for name, count in found.most_common(8))
        raise InputError(
            f"no readable files; found {counts}",
            path=path,
            fix=f"give documents of these types: {_EXTENSIONS}",
        )
    skipped = [
        Skipped(printable(file), f"{extension_of(file) or 'no extension'} is not among {_EXTENSIONS}")
        for file in visible
        if extension_of(file) not in READERS
    ]
    return readable, skipped
