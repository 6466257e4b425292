"""Rows of a run's .jsonl files, a page at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from candor.report import wording
from candor.serve.runs.reading import lines_from, parsed

ROWS = 20  # of a page
_PAGE = 4 << 20  # bytes that a page's rows may have
_LONGEST = 3_000  # characters of a value
_TAIL = 64 << 10


@dataclass(frozen=True)
class Page:
    """Some rows of a file.

    Attributes:
        start: bytes before them.
        rows: each is an object.
        next: bytes before those that follow, None at the end.
        damaged: lines that are no JSON object, or too long.
        bytes: of the file.
    """

    start: int
    rows: list[dict[str, Any]]
    next: int | None
    damaged: int
    bytes: int


def page(path: Path, start: int) -> Page:
    """The rows behind an offset that an earlier page named; a negative one is that many rows before the end.

    Raises:
        OSError: the file can't be read.
    """
    size = path.stat().st_size
    if start < 0:
        start = _last(path, size, -start)
    start = min(start, size)
    rows, end, damaged = [], start, 0
    for offset, line in lines_from(path, start, _PAGE):
        end = offset
        row = parsed(line)
        if row is not None:
            rows.append(row)
        elif line.strip():
            damaged += 1
        if len(rows) == ROWS:
            break
    following: int | None = end
    if len(rows) < ROWS:  # all of what was read
        if size - start <= _PAGE:
            following = None
        elif end == start:  # one line longer than a page: stepped over
            following, damaged = start + _PAGE, damaged + 1
    elif end >= size:
        following = None
    return Page(start, rows, following, damaged, size)


def fields(row: dict[str, Any]) -> list[tuple[str, str]]:
    """A row's fields as text, long ones cut."""
    return [(wording.humanised(str(key))[:80], _text(value)) for key, value in list(row.items())[:60]]


def _last(path: Path, size: int, rows: int) -> int:
    """The offset of so many rows before the end, within the last part of the file."""
    begin = max(0, size - _TAIL)
    ends = [begin] if not begin else []
    ends += [end for end, _ in lines_from(path, begin, _TAIL)]
    # Each end but the last is the start of a row.
    starts = [end for end in ends if end < size]
    return starts[max(0, len(starts) - rows)] if starts else begin


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[:_LONGEST].rstrip() + " …"
