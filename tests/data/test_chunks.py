from __future__ import annotations

import random

import pytest

from candor.data.chunks import chunk_document, sentence_spans
from candor.data.types import Document


def sentences(text: str) -> list[str]:
    return [text[a:b] for a, b in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Dr. Smith met J. A. Jones. They left.", ["Dr. Smith met J. A. Jones.", "They left."]),
        ("It rose 3.5 m. Then it fell!  Why? No.", ["It rose 3.5 m.", "Then it fell!", "Why?", "No."]),
        ("The symbol is C. It is black.", ["The symbol is C.", "It is black."]),
        ('He said "Go." She went.', ['He said "Go."', "She went."]),
        ("See No. 5 and e.g. Figure 2. End", ["See No. 5 and e.g. Figure 2.", "End"]),
        ("Title\n\nBody one.\nBody two.", ["Title", "Body one.", "Body two."]),
        ("Items:\n- one\n- two", ["Items:", "- one", "- two"]),
        ("東京は首都です。大阪は違う。", ["東京は首都です。", "大阪は違う。"]),
        ("", []),
    ],
)
def test_sentences_end_where_they_should(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


def test_chunks_hold_all_text_at_exact_offsets_within_the_limit() -> None:
    rng = random.Random(0)
    for trial in range(60):
        paragraphs = [
            " ".join(
                "W" + " ".join("word" * rng.randint(1, 3) for _ in range(rng.randint(1, 40))) + "."
                for _ in range(rng.randint(1, 8))
            )
            for _ in range(rng.randint(1, 6))
        ]
        document = Document(id=f"d{trial}", title="T", text="\n\n".join(paragraphs))
        chunks = chunk_document(document, max_words=30)
        assert all(c.text == document.text[c.start : c.end] and len(c.text.split()) <= 30 for c in chunks)
        assert [c.id for c in chunks] == [f"d{trial}#{i}" for i in range(len(chunks))]
        assert " ".join(c.text for c in chunks).split() == document.text.split()
        whole = {s for s in sentences(document.text) if len(s.split()) <= 30}
        assert all(any(s in c.text for c in chunks) for s in whole), "a short sentence was cut"


def test_paragraphs_are_kept_whole_where_they_fit() -> None:
    first, second = ("One two three four. " * 4).strip(), ("Five six seven eight. " * 4).strip()
    chunks = chunk_document(Document(id="d", text=f"{first}\n\n{second}"), max_words=20)
    assert [c.text for c in chunks] == [first, second]


def test_a_heading_stays_with_its_paragraph() -> None:
    body = ("One two three four five. " * 6).strip()
    chunks = chunk_document(Document(id="d", text=f"Heading\n\n{body}"), max_words=20)
    assert chunks[0].text.startswith("Heading\n\nOne")


def test_an_endless_string_is_cut() -> None:
    chunks = chunk_document(Document(id="d", text="x" * 10_000), max_words=50)
    assert max(len(c.text) for c in chunks) <= 50 * 24
