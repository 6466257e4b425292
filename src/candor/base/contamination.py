"""Documents that hold items of an evaluation: found by sequences of words that both have."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from candor.core.errors import InputError
from candor.core.files import read_json_lines

_WORD = re.compile(r"\w+")
# Shorter items than a passage are looked for whole, but not these: too much says the same by chance.
_LEAST = 8


class Evaluations:
    """Passages of evaluation files.

    Args:
        files: JSONL, of which every text in every row counts (lists and tables in rows too), or plain text,
            a line an item.
        words: length of a passage: 13 in GPT-3's report (Brown et al. 2020, appendix C).

    Raises:
        InputError: a file can't be read, or has no item that is long enough to be looked for.
    """

    def __init__(self, files: Sequence[Path], words: int) -> None:
        self._passages: dict[int, set[bytes]] = {}  # by their length in words
        for file in files:
            found = 0
            for item in _items(file):
                tokens = _WORD.findall(item.lower())
                length = min(words, len(tokens))
                if length >= min(_LEAST, words):
                    self._passages.setdefault(length, set()).update(_hashed(tokens, length))
                    found += 1
            if not found:
                raise InputError(
                    f"no item has {min(_LEAST, words)} words or more, so nothing can be looked for",
                    path=file,
                    field="corpus.decontaminate",
                    fix="give a file of evaluation items: JSONL with texts in its rows, or a line each",
                )

    def touch(self, text: str) -> bool:
        """Whether the text holds one of the passages."""
        if not self._passages:
            return False
        words = _WORD.findall(text.lower())
        return any(
            passage in known for length, known in self._passages.items() for passage in _hashed(words, length)
        )


def _hashed(words: list[str], length: int) -> Iterator[bytes]:
    for begin in range(len(words) - length + 1):
        yield hashlib.blake2b(" ".join(words[begin : begin + length]).encode(), digest_size=8).digest()


def _items(file: Path) -> Iterator[str]:
    if file.name.lower().endswith((".jsonl", ".jsonl.gz")):
        for _, row in read_json_lines(file):
            yield from _texts(row)
        return
    try:
        yield from file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"can't be read ({error})", path=file, fix="check the path; give .jsonl, .jsonl.gz or UTF-8 text"
        ) from error


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
