"""Cut documents into passages at sentence and paragraph ends, keeping exact character offsets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from candor.data.types import Chunk, Document

# Scripts written without spaces: each character counts as a word. Unbroken strings (URLs, base64) count
# once every 24 characters, so that none can make a chunk without end.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]{{1,24}}")
_PARAGRAPH_BREAK = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCE_END = re.compile(
    r"(?P<stop>[.!?…]+)[\"'”’»)\]]*(?P<space>\s+)(?=[\"'“‘«(\[]*[^\W_])"  # a stop, then a new word
    r"|[。！？][」』”’）]*"
    r"|\n(?=[ \t]*(?:[-*•–]|\d{1,3}[.)])[ \t])"  # a list item is a sentence of its own
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"“'])(?:(?i:mr|mrs|ms|dr|prof|st|mt|ft|sr|jr|gen|col|capt|lt|sgt|rev|hon|gov|sen|rep|pres|vs|"
    r"cf|ca|approx|nos|vol|fig|eq|ed|eds|pp|e\.g|i\.e|inc|ltd|corp|dept|univ)|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec|(?:[A-Z]\.)*[A-Z])$"
)
# "the symbol is C. It …": a lone capital after one of these is no initial.
_LONE_LETTER = re.compile(
    r"\b(?:is|symbol|vitamin|type|group|class|grade|plan|and|or|letter)\s[A-Z]$", flags=re.I
)


class _Piece(NamedTuple):
    start: int
    end: int
    words: int
    opens_paragraph: bool


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return [start, end) of each sentence, without the white space around it; breaks never overlap.

    Rules, not a model: a stop followed by white space and a word that does not begin in lower case, unless
    the stop belongs to an abbreviation or an initial. Paragraph breaks and list items end sentences too.
    """
    return [(piece.start, piece.end) for piece in _sentences(text)]


def chunk_document(document: Document, *, max_words: int = 120) -> list[Chunk]:
    """Cut a document into chunks of at most `max_words` words that together hold all its text.

    Whole paragraphs are kept together where they fit; a chunk ends within a sentence only if that sentence
    alone is longer than the limit. For every chunk `chunk.text == document.text[chunk.start:chunk.end]`.

    Args:
        document: what to cut.
        max_words: words a chunk; a word is a run of non-space characters.
    """
    if max_words < 1:
        raise ValueError("max_words must be at least 1")
    pieces = [part for piece in _sentences(document.text) for part in _cut(document.text, piece, max_words)]
    spans: list[tuple[int, int]] = []
    current: list[_Piece] = []
    words = 0
    for index, piece in enumerate(pieces):
        full = words + piece.words > max_words
        if piece.opens_paragraph and words >= max_words / 3:
            # A paragraph that does not fit whole starts a new chunk, unless what is there is too short
            # (a heading, say) to stand alone.
            full = full or words + _paragraph_words(pieces, index) > max_words
        if current and full:
            spans.append((current[0].start, current[-1].end))
            current, words = [], 0
        current.append(piece)
        words += piece.words
    if current:
        spans.append((current[0].start, current[-1].end))
    return [
        Chunk(
            id=f"{document.id}#{index}",
            document=document.id,
            title=document.title,
            text=document.text[start:end],
            start=start,
            end=end,
        )
        for index, (start, end) in enumerate(spans)
    ]


def _paragraph_words(pieces: list[_Piece], first: int) -> int:
    total = pieces[first].words
    for piece in pieces[first + 1 :]:
        if piece.opens_paragraph:
            break
        total += piece.words
    return total


def _sentences(text: str) -> Iterator[_Piece]:
    start = 0
    breaks = [*((m.start(), m.end()) for m in _PARAGRAPH_BREAK.finditer(text)), (len(text), len(text))]
    for paragraph_end, next_start in breaks:
        opens = True
        sentence_start = start
        ends = [
            m.end() for m in _SENTENCE_END.finditer(text, start, paragraph_end) if _ends_sentence(text, m)
        ]
        for end in [*ends, paragraph_end]:
            trimmed = _trim(text, sentence_start, end)
            if trimmed is not None:
                yield _Piece(*trimmed, len(_WORD.findall(text, *trimmed)), opens)
                opens = False
            sentence_start = end
        start = next_start


def _trim(text: str, start: int, end: int) -> tuple[int, int] | None:
    piece = text[start:end]
    stripped = piece.strip()
    if not stripped:
        return None
    begin = start + len(piece) - len(piece.lstrip())
    return begin, begin + len(stripped)


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    if match["stop"] is None:
        return True
    following = text[match.end() : match.end() + 4].lstrip("\"'“‘«([")[:1]
    if following.islower():
        return False
    if match["stop"] != ".":
        return True
    before = text[max(0, match.start() - 24) : match.start()]
    if following.isdigit() and re.search(r"\b[Nn]os?$|\bp$", before):
        return False
    return _ABBREVIATION.search(before) is None or _LONE_LETTER.search(before) is not None


def _cut(text: str, piece: _Piece, max_words: int) -> Iterator[_Piece]:
    """Cut a sentence longer than the limit at word ends; any other is returned as it is."""
    if piece.words <= max_words:
        yield piece
        return
    found = [(m.start(), m.end()) for m in _WORD.finditer(text, piece.start, piece.end)]
    for first in range(0, len(found), max_words):
        group = found[first : first + max_words]
        yield _Piece(group[0][0], group[-1][1], len(group), piece.opens_paragraph and first == 0)
