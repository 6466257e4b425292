"""Tokens on disk, and the pieces of them that a model is pretrained on.

    index.json                what is there: counts, hashes, which tokenizer
    train-00000.npy           documents one after the other, each begun by the start token
    train-00000.starts.npy    where each document begins

Files are mapped into memory, so a corpus may be larger than that.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from pydantic import BaseModel
from transformers import PreTrainedTokenizerBase

from candor.core.errors import CandorError, InputError
from candor.core.files import atomic_path, read_json, write_json
from candor.data.conversations import Example

_SHARD_TOKENS = 1 << 26
_TEXTS_AT_ONCE = 512


class ShardIndex(BaseModel):
    """A file of tokens."""

    file: str
    documents: int
    tokens: int  # start tokens included
    sha256: str


class SplitIndex(BaseModel):
    """All tokens of a split."""

    documents: int
    tokens: int
    bytes: int  # of the text, as UTF-8
    shards: list[ShardIndex]


def write_tokens(
    folder: Path, split: str, texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, start: int
) -> Iterator[int]:
    """Tokenise texts into shards, and note them in the folder's index when all are written.

    Args:
        folder: where.
        split: the name that files and index entry get.
        texts: one a document.
        tokenizer: used without its special tokens: text that looks like one stays text.
        start: the token that begins a document, and so ends the one before.

    Yields:
        After each lot of texts, how many are done.
    """
    writer = _Writer(folder, split, np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32)
    lot: list[str] = []
    done = 0
    for text in texts:
        lot.append(text)
        if len(lot) == _TEXTS_AT_ONCE:
            writer.add(lot, tokenizer, start)
            done += len(lot)
            lot = []
            yield done
    writer.add(lot, tokenizer, start)
    writer.flush()
    file = folder / "index.json"
    known = read_json(file) if file.exists() else {}
    write_json(file, {**known, split: writer.index.model_dump()})
    yield done + len(lot)


class _Writer:
    """Gathers documents, and writes a file when there are many."""

    def __init__(self, folder: Path, split: str, kind: type[np.unsignedinteger]) -> None:
        self._folder, self._split, self._kind = folder, split, kind
        self._documents: list[np.ndarray] = []
        self._tokens = 0
        self.index = SplitIndex(documents=0, tokens=0, bytes=0, shards=[])

    def add(self, texts: list[str], tokenizer: PreTrainedTokenizerBase, start: int) -> None:
        if not texts:
            return
        encoded = tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)
        for text, ids in zip(texts, encoded["input_ids"], strict=True):  # type: ignore[arg-type]
            tokens = np.empty(len(ids) + 1, self._kind)
            tokens[0], tokens[1:] = start, ids
            self._documents.append(tokens)
            self._tokens += len(tokens)
            self.index.bytes += len(text.encode())
            if self._tokens >= _SHARD_TOKENS:
                self.flush()

    def flush(self) -> None:
        if not self._documents:
            return
        name = f"{self._split}-{len(self.index.shards):05d}"
        tokens = np.concatenate(self._documents)
        starts = np.cumsum([0, *map(len, self._documents)])[:-1].astype(np.int64)
        for suffix, array in ((".npy", tokens), (".starts.npy", starts)):
            with atomic_path(self._folder / f"{name}{suffix}") as path, path.open("wb") as file:
                np.save(file, array)
        shard = ShardIndex(
            file=f"{name}.npy",
            documents=len(starts),
            tokens=len(tokens),
            sha256=hashlib.sha256(tokens.tobytes()).hexdigest(),
        )
        self.index.shards.append(shard)
        self.index.documents += shard.documents
        self.index.tokens += shard.tokens
        self._documents, self._tokens = [], 0


@dataclass(frozen=True)
class _Shard:
    tokens: np.ndarray
    starts: np.ndarray  # of the pieces
    lengths: np.ndarray  # predicted tokens of each


class Pieces(Sequence[Example]):
    """The documents of a split cut into pieces that predict at most `length` tokens each.

    A piece is an example of which every token but the first is supervised. A document's first piece begins
    with the start token, its last one predicts the next document's, so that the model learns to end; each
    further piece begins with the last token of the one before. No piece sees another document.

    Args:
        folder: where `write_tokens` wrote.
        split: which part.
        length: most tokens of a piece, the first aside.
        start: the start token.

    Raises:
        InputError: a file is missing or damaged.

    Attributes:
        counts: of the split.
        lengths: tokens that each piece predicts, int64 [pieces].
        fingerprint: changes with any token.
    """

    def __init__(self, folder: Path, split: str, length: int, start: int) -> None:
        self.counts = read_index(folder, split)
        self._start = start
        self._shards = [_opened(folder, shard, length) for shard in self.counts.shards]
        ends = np.cumsum([len(shard.starts) for shard in self._shards], dtype=np.int64)
        self._ends = ends.tolist()
        self.lengths = np.concatenate([np.empty(0, np.int64), *(shard.lengths for shard in self._shards)])
        hashes = " ".join(shard.sha256 for shard in self.counts.shards)
        self.fingerprint = hashlib.sha256(f"{length} {hashes}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        place = bisect_right(self._ends, index)
        shard = self._shards[place]
        number = index - (self._ends[place - 1] if place else 0)
        begin, length = int(shard.starts[number]), int(shard.lengths[number])
        tokens = shard.tokens[begin : begin + length + 1].tolist()
        if len(tokens) == length:  # the last document of a file: the next one's start is in another
            tokens.append(self._start)
        return Example(tuple(tokens), (False,) + (True,) * length)


def read_index(folder: Path, split: str) -> SplitIndex:
    """The counts of a split.

    Raises:
        CandorError: there are no tokens of it.
    """
    file = folder / "index.json"
    known = read_json(file) if file.exists() else {}
    if split not in known:
        raise CandorError(f"{folder}: no tokens of the split '{split}' here", fix="train the tokenizer first")
    return SplitIndex.model_validate(known[split])


def _opened(folder: Path, index: ShardIndex, length: int) -> _Shard:
    file = folder / index.file
    try:
        tokens = np.load(file, mmap_mode="r", allow_pickle=False)
        documents = np.load(file.with_suffix(".starts.npy"), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"can't be read ({error})", path=file, fix="train the tokenizer again") from error
    if len(tokens) != index.tokens or len(documents) != index.documents:
        raise InputError("is not as the index says", path=file, fix="train the tokenizer again")
    # A document of n tokens, its start among them, predicts n: the last is the next document's start.
    sizes = np.diff(np.append(documents, len(tokens)))
    pieces = -(-sizes // length)
    firsts = np.repeat(documents, pieces)
    numbers = np.arange(len(firsts)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    lengths = np.minimum(length, np.repeat(sizes, pieces) - numbers * length)
    return _Shard(tokens, firsts + numbers * length, lengths.astype(np.int64))
