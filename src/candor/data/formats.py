"""One reader per file format: each turns a file into plain text with the title it gives itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from candor.core.errors import InputError
from candor.core.files import read_json_lines
from candor.data.rows import text_field


class Passage(NamedTuple):
    """What a reader found: `id` is None unless the file gives one; `row` is a 1-based line or row."""

    id: str | None
    title: str
    text: str
    row: int | None = None


Reader = Callable[[Path], Iterator[Passage]]


def read_text(path: Path) -> Iterator[Passage]:
    """Read a UTF-8 text file."""
    yield Passage(None, _title_from(path), _decode(_bytes_of(path), path))


def read_markdown(path: Path) -> Iterator[Passage]:
    """Read Markdown as plain text: front matter, comments, link targets and emphasis marks go."""
    text = re.sub(
        r"\A---\n.*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", "", _decode(_bytes_of(path), path), flags=re.S
    )
    heading = re.search(r"^#[ \t]+(.+?)[ \t#]*$", text, flags=re.M)
    # Fenced code keeps its characters: there, * and [ are not markup.
    parts = re.split(r"(^```.*?^```[ \t]*$)", text, flags=re.M | re.S)
    plain = "".join(part if part.startswith("```") else _unmark(part) for part in parts)
    yield Passage(None, _unmark(heading[1]).strip() if heading else _title_from(path), plain)


def _unmark(text: str) -> str:
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^[ \t]{0,3}#{1,6}[ \t]+(.*?)[ \t#]*$", r"\1\n", text, flags=re.M)
    text = re.sub(r"^[ \t]{0,3}(?:[-*_][ \t]*){3,}$", "", text, flags=re.M)
    text = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    return re.sub(r"(?<![\w*])([*_])(?=\S)([^*_\n]+?)(?<=\S)\1(?![\w*])", r"\2", text)


_DROPPED = ["script", "style", "nav", "noscript", "template", "svg", "form", "iframe", "button", "head"]
_BLOCKS = [
    *("address", "article", "aside", "blockquote", "br", "caption", "dd", "details", "div", "dl", "dt"),
    *("fieldset", "figcaption", "figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr"),
    *("li", "main", "ol", "p", "pre", "section", "summary", "table", "tr", "ul"),
]


def read_html(path: Path) -> Iterator[Passage]:
    """Read a web page's text, a paragraph for each block; scripts, styles and navigation are dropped."""
    from bs4 import BeautifulSoup, Comment  # noqa: PLC0415  # only needed for web pages
    from bs4.dammit import EncodingDetector  # noqa: PLC0415

    data = _bytes_of(path)
    # Browsers go by the declared encoding; a page that declares none must be UTF-8, like every other text.
    declared = EncodingDetector.find_declared_encoding(data, is_html=True)
    soup = BeautifulSoup(_decode(data, path, declared), "html.parser")
    title = soup.title.get_text() if soup.title else ""
    if not title.strip():
        heading = soup.find("h1")
        title = heading.get_text() if heading else _title_from(path)
    for tag in soup.find_all(_DROPPED):
        tag.decompose()
    for comment in soup.find_all(string=lambda node: isinstance(node, Comment)):
        comment.extract()
    for cell in soup.find_all(["td", "th"]):
        cell.append(" ")
    mark = "\x00"  # can't be in the text: _decode refuses it
    for block in soup.find_all(_BLOCKS):
        block.insert_before(mark)
        block.insert_after(mark)
    text = re.sub(r"\s+", " ", soup.get_text())
    text = re.sub(rf"\s*{mark}[\s{mark}]*", "\n\n", text)
    yield Passage(None, " ".join(title.split()), text)


def read_pdf(path: Path) -> Iterator[Passage]:
    """Read a PDF's text layer; words hyphenated at line ends are joined, lines flow into paragraphs.

    Raises:
        InputError: the file is encrypted with a password, or is not a readable PDF.
    """
    from pypdf import PdfReader  # noqa: PLC0415  # only needed for PDFs
    from pypdf.errors import DependencyError, PyPdfError  # noqa: PLC0415

    data_fix = "save it again with a PDF viewer (print to PDF), or turn it into text with pdftotext"
    _bytes_of(path, 1)  # a clear error for a file that can't be opened
    try:
        reader = PdfReader(path)
        # Many PDFs are encrypted only against changes: the empty password opens them.
        if reader.is_encrypted and not reader.decrypt(""):
            raise InputError(  # noqa: TRY301  # the clauses below mend what pypdf raises, not this
                "this PDF is encrypted with a password",
                path=path,
                fix=f"decrypt it (qpdf --password=PASSWORD --decrypt {path.name} open.pdf), or move it away",
            )
        pages = [page.extract_text() for page in reader.pages]
        given = (reader.metadata.title if reader.metadata else None) or ""
    except DependencyError as error:
        raise InputError(
            f"this PDF is encrypted and can't be opened here ({error})",
            path=path,
            fix="pip install cryptography, or decrypt it (qpdf --decrypt in.pdf open.pdf)",
        ) from error
    except InputError:
        raise
    # pypdf lets many kinds of exception out on broken files; whatever it is, the file is what to mend.
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError) as error:
        raise InputError(f"not a readable PDF ({error})", path=path, fix=data_fix) from error
    text = "\n\n".join(pages).encode("utf-8", "ignore").decode("utf-8").replace("\x00", "")
    text = re.sub(r"(?<=[a-z])[-\u00ad]\n(?=[a-z])", "", text)
    text = re.sub(r"(?<!\n)\n(?!\s*\n)", " ", text)
    # Word processors write file names as titles.
    usable = given.strip() and not re.match(r"Microsoft Word|untitled", given, flags=re.I)
    yield Passage(None, str(given).strip() if usable else _title_from(path), text)


def read_jsonl_documents(path: Path, column: str = "text") -> Iterator[Passage]:
    """Read rows {id?, title?, text}; other fields are ignored."""
    for line, row in read_json_lines(path):
        text = text_field(row, column, path, line, required=True) or ""
        yield Passage(
            text_field(row, "id", path, line), text_field(row, "title", path, line) or "", text, line
        )


def read_parquet(path: Path, column: str = "text") -> Iterator[Passage]:
    """Read a table with a column of texts and maybe `id` and `title`; null text counts as empty."""
    import pyarrow as pa  # noqa: PLC0415  # only needed for Parquet
    import pyarrow.parquet as pq  # noqa: PLC0415

    _bytes_of(path, 1)
    try:
        with pq.ParquetFile(path) as table:
            names = table.schema_arrow.names
            if column not in names:
                raise InputError(
                    f"there is no such column; it has {', '.join(names) or 'none'}",
                    path=path,
                    field=column,
                    fix=f"rename the column that holds the documents to '{column}'",
                )
            row_number = 0
            columns = [name for name in ("id", "title", column) if name in names]
            for batch in table.iter_batches(batch_size=1024, columns=columns):
                for row in batch.to_pylist():
                    row_number += 1
                    text = text_field(row, column, path, row_number) or ""
                    identity = text_field(row, "id", path, row_number)
                    yield Passage(
                        identity, text_field(row, "title", path, row_number) or "", text, row_number
                    )
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"not a readable Parquet file ({error})", path=path, fix="write it again, or use JSONL"
        ) from error


READERS: dict[str, Reader] = {
    ".txt": read_text,
    ".md": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".pdf": read_pdf,
    ".jsonl": read_jsonl_documents,
    ".jsonl.gz": read_jsonl_documents,
    ".parquet": read_parquet,
}
_TABLES = (read_jsonl_documents, read_parquet)


def reader_of(path: Path, column: str = "text") -> Reader:
    """The reader of a file with a known extension; `column` is where rows hold their text."""
    reader = READERS[extension_of(path)]
    in_rows = next((one for one in _TABLES if one is reader), None)
    return reader if in_rows is None else partial(in_rows, column=column)


def extension_of(path: Path) -> str:
    """Return the lower-case extension that chooses the reader: `.jsonl.gz` is one."""
    name = path.name.lower()
    return ".jsonl.gz" if name.endswith(".jsonl.gz") else path.suffix.lower()


def _title_from(path: Path) -> str:
    return re.sub(r"[\s_-]+", " ", path.stem).strip()


def _bytes_of(path: Path, size: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise InputError(
            f"can't be read ({error.strerror})", path=path, fix="check its permissions"
        ) from error


def _decode(data: bytes, path: Path, encoding: str | None = None) -> str:
    fix = f"convert it, for example: iconv -f LATIN1 -t UTF-8 {path.name} > utf8{path.suffix}"
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        try:
            text = data.decode(encoding or "utf-8")
        except (UnicodeDecodeError, LookupError):
            line = data.count(b"\n", 0, error.start) + 1
            raise InputError("not UTF-8 text", path=path, line=line, fix=fix) from error
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise InputError("not UTF-8 text but binary or UTF-16", path=path, line=line, fix=fix)
    return text.replace("\r\n", "\n").replace("\r", "\n")
