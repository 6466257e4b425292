from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from candor.core.errors import InputError
from candor.data.documents import read_corpus


def make_pdf(path: Path, lines: list[str], password: str | None = None) -> None:
    """Write a one-page PDF with a text layer, by hand, since pypdf does not typeset."""
    writer = PdfWriter()
    page = writer.add_blank_page(612, 792)
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    stream = DecodedStreamObject()
    shown = " ".join(f"({line}) Tj 0 -20 Td" for line in lines)
    stream.set_data(f"BT /F1 12 Tf 72 700 Td {shown} ET".encode())
    page[NameObject("/Contents")] = writer._add_object(stream)
    if password is not None:
        writer.encrypt(password, algorithm="RC4-128")
    with path.open("wb") as file:
        writer.write(file)


def test_a_folder_of_every_format_is_read_in_sorted_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text("Alpha text.")
    (tmp_path / "b.md").write_text("---\nx: 1\n---\n# The *Beta*\n\nSome **bold** [link](http://x).\n")
    (tmp_path / "c.html").write_text(
        "<html><head><title>Gamma</title><style>p{}</style></head><body><nav>Menu</nav>"
        "<p>One\nline.</p><script>bad()</script><p>Two <b>lines</b>.</p></body></html>"
    )
    make_pdf(tmp_path / "d.pdf", ["Delta is the fourth Greek let-", "ter of the alphabet."])
    (tmp_path / "e.jsonl").write_text('{"id": 7, "title": "E", "text": "Epsilon."}\n\n{"text": "Zeta."}\n')
    pq.write_table(pa.table({"id": ["p1"], "text": ["Eta."], "other": [1]}), tmp_path / "f.parquet")
    with gzip.open(tmp_path / "sub" / "g.jsonl.gz", "wt") as file:
        file.write(json.dumps({"text": "Theta."}))
    (tmp_path / ".hidden.txt").write_text("no")
    documents = read_corpus(tmp_path).documents
    assert [d.id for d in documents] == [
        *("a.txt", "b.md", "c.html", "d.pdf", "7", "e.jsonl:3", "p1", "sub/g.jsonl.gz:1"),
    ]
    text = {d.id: d.text for d in documents}
    assert text["b.md"] == "The Beta\n\n\nSome bold link."
    assert text["c.html"] == "One line.\n\nTwo lines."
    assert text["d.pdf"] == "Delta is the fourth Greek letter of the alphabet."
    assert [d.title for d in documents[1:5]] == ["The Beta", "Gamma", "d", "E"]
    assert documents[5].source == f"{tmp_path / 'e.jsonl'}:3"


def test_other_types_empty_files_and_copies_are_skipped_but_reported(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Text.")
    (tmp_path / "b.txt").write_text("  \n")
    (tmp_path / "c.txt").write_text("Text.\n")
    (tmp_path / "d.docx").write_bytes(b"x")
    corpus = read_corpus(tmp_path)
    assert [d.id for d in corpus.documents] == ["a.txt"]
    reasons = {Path(s.place).name: s.reason for s in corpus.skipped}
    assert set(reasons) == {"b.txt", "c.txt", "d.docx"}
    assert "same as that of 'a.txt'" in reasons["c.txt"]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.txt", "Zürich\ncafé".encode("latin-1"), "a.txt:1: not UTF-8"),
        ("a.txt", "text".encode("utf-16-le"), "binary or UTF-16"),
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', "a.jsonl:2: not valid JSON"),
        ("a.jsonl", b'{"text": "x"}\n[1]\n', "a.jsonl:2: expected a JSON object"),
        ("a.jsonl", b'{"body": "x"}\n', "a.jsonl:1: field 'text': missing; this row has body"),
        ("a.jsonl", b'{"text": ["x"]}\n', "field 'text': expected a string, found list"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', "surrogate"),
        (
            "a.jsonl",
            b'{"id":"k","text":"x"}\n{"id":"k","text":"y"}\n',
            "a.jsonl:2: field 'id': the id 'k' was",
        ),
        ("a.jsonl.gz", b"plain", "not a whole gzip file"),
        ("a.pdf", b"%PDF-1.4 nothing", "not a readable PDF"),
        ("a.parquet", b"nothing", "not a readable Parquet"),
        ("a.txt", b"  ", "every document here is empty"),
        ("a.csv", b"x", "can't read .csv"),
    ],
)
def test_a_broken_file_is_an_error_with_place_and_fix(
    tmp_path: Path, name: str, data: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_corpus(tmp_path / name)
    assert says in caught.value.message
    assert caught.value.fix


def test_a_file_name_that_is_not_utf8_is_written_out(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")).write_text("A text.")
    (document,) = read_corpus(tmp_path).documents
    assert document.id == "caf\\xe9.txt"
    document.source.encode("utf-8")


def test_missing_empty_and_unreadable_folders_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        read_corpus(tmp_path / "nowhere")
    with pytest.raises(InputError, match="the folder is empty"):
        read_corpus(tmp_path)
    (tmp_path / "a.docx").write_bytes(b"")
    (tmp_path / "b.docx").write_bytes(b"")
    with pytest.raises(InputError, match=r"found 2 × \.docx") as caught:
        read_corpus(tmp_path)
    assert ".parquet" in (caught.value.fix or "")


def test_a_parquet_without_text_names_its_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="field 'text': there is no such column; it has body"):
        read_corpus(tmp_path)


def test_an_encrypted_pdf_is_refused_with_a_fix_but_an_empty_password_opens(tmp_path: Path) -> None:
    make_pdf(tmp_path / "open.pdf", ["Readable by all."], password="")
    assert read_corpus(tmp_path / "open.pdf").documents[0].text == "Readable by all."
    make_pdf(tmp_path / "shut.pdf", ["Secret."], password="pw")
    with pytest.raises(InputError, match="encrypted with a password") as caught:
        read_corpus(tmp_path / "shut.pdf")
    assert "qpdf" in (caught.value.fix or "")


def test_html_in_a_declared_encoding_is_read(tmp_path: Path) -> None:
    page = '<html><head><meta charset="iso-8859-1"></head><body><p>Zürich</p></body></html>'
    (tmp_path / "a.htm").write_bytes(page.encode("latin-1"))
    assert read_corpus(tmp_path).documents[0].text == "Zürich"
