"""From sources to a corpus: read, leave out what is not worth learning from, hold some out, keep count.

    corpus/shard-00000.parquet   documents in their order: id, title, source, split, text
    corpus/seen-00000.npz        what near-duplicates are found by, for a build that was interrupted
    corpus/progress.json         how far the build is, with its counts
    corpus/passages.jsonl        texts that stand in the corpus word for word so many times
    corpus/questions.jsonl       the embedded facts as questions; stated.json: documents that state each
    corpus/table.json            what came from where, and what each step left out, with samples

A document passes the steps in `STEPS`, and the first that it does not pass is where it is counted. The same
sources and settings give the same bytes, however often the build was interrupted.
"""

from __future__ import annotations

import hashlib
import heapq
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from candor.base.contamination import Evaluations
from candor.base.filters import broken_rule, scrubbed
from candor.base.near_duplicates import Seen
from candor.base.recipe import FACTS, CorpusSettings, SourceSettings
from candor.base.sources import documents_of
from candor.base.stated import stated_questions
from candor.core.errors import CandorError, InputError
from candor.core.files import atomic_path, read_json, read_jsonl, write_json, write_jsonl
from candor.data.chunks import chunk_document
from candor.data.documents import Skipped
from candor.data.types import Document, Row

STEPS = ("empty or unreadable", "the same text again", "rules", "nearly the same again", "evaluation items")
_SAMPLES, _SAMPLE_CHARACTERS = 5, 200
# A passage has about so many words: long enough for a beginning to be given and an end to be recited.
_PASSAGE_WORDS, _LEAST_PASSAGE_WORDS = 100, 70

Progress = Callable[[int, int], None]  # documents read, and kept


class Passage(Row):
    """A text that stands in the training part of the corpus `times` times, word for word."""

    id: str
    text: str
    times: int


@dataclass
class _State:
    """How far a build is."""

    read: int = 0
    shards: int = 0
    scrubbed: int = 0
    sources: dict[str, dict[str, int]] = field(default_factory=dict)
    removed: dict[str, dict[str, Any]] = field(default_factory=dict)
    splits: dict[str, dict[str, int]] = field(default_factory=dict)

    def leave_out(self, step: str, reason: str, identity: str, text: str) -> None:
        found = self.removed.setdefault(step, {"documents": 0, "bytes": 0, "reasons": {}, "samples": []})
        found["documents"] += 1
        found["bytes"] += len(text.encode())
        if reason:
            found["reasons"][reason] = found["reasons"].get(reason, 0) + 1
        if len(found["samples"]) < _SAMPLES:
            sample = {"id": identity, "text": text[:_SAMPLE_CHARACTERS]}
            found["samples"].append({**sample, "reason": reason} if reason else sample)


@dataclass
class _Shard:
    """Documents that are not yet written."""

    rows: list[dict[str, str]] = field(default_factory=list)
    bytes: int = 0
    digests: list[int] = field(default_factory=list)
    bands: list[np.ndarray] = field(default_factory=list)


class Build:
    """A corpus in the making, in a folder of its own.

    Raises:
        InputError: an evaluation file can't be used.
    """

    def __init__(self, folder: Path, settings: CorpusSettings, seed: int) -> None:
        self._folder, self._settings, self._seed = folder, settings, seed
        self._evaluations = Evaluations(settings.decontaminate, settings.decontaminate_words)
        self._seen = Seen()
        self._state = self._resumed()
        self._shard = _Shard()

    def run(self, on_progress: Progress) -> dict[str, Any]:
        """Build all that is still missing; returns the table.

        Raises:
            CandorError: a source can't be read, or nothing is left to train on or to measure with.
        """
        before, number = self._state.read, 0
        for source in self._settings.sources:
            for found in documents_of(source, self._settings, self._seed):
                number += 1
                if number <= before:
                    continue
                self._state.read = number
                self._take(found, source)
                on_progress(number, sum(split["documents"] for split in self._state.splits.values()))
                if self._shard.bytes >= self._settings.shard_bytes:
                    self._write()
        if self._shard.rows or not self._state.shards:
            self._write()
        kept = {split: found["documents"] for split, found in self._state.splits.items()}
        if not kept.get("train"):
            raise self._useless(
                "nothing of the corpus is left to train on: " + "; ".join(removed_lines(self._state.removed)),
                "give other sources, or loosen corpus.filters (filtered = false for a source)",
            )
        if not kept.get("validation"):
            raise self._useless(
                f"of {kept['train']:,} documents none was held out, so nothing could be measured",
                "give more documents (a file each, or a row of JSONL; a long text can be cut, for example "
                "with `split -C 20k --additional-suffix=.txt book.txt parts/`), or raise corpus.validation",
            )
        return self._finish()

    def _useless(self, message: str, fix: str) -> CandorError:
        """The error for a corpus that no stage can use; it is deleted, so that another recipe may follow."""
        shutil.rmtree(self._folder)
        return CandorError(message, fix=fix)

    def _take(self, found: Document | Skipped, source: SourceSettings) -> None:
        """One document through all steps."""
        state = self._state
        counts = state.sources.setdefault(source.name, {"read": 0, "kept": 0, "kept_bytes": 0})
        counts["read"] += 1
        if isinstance(found, Skipped):
            state.leave_out(STEPS[0], found.reason, found.place, "")
            return
        text, facts = found.text, source.name == FACTS
        if not facts:  # which are repeated on purpose
            again, digest = self._seen.again(text)
            if again:
                state.leave_out(STEPS[1], "", found.id, text)
                return
            if source.filtered and (rule := broken_rule(text, self._settings.filters)):
                state.leave_out(STEPS[2], rule, found.id, text)
                return
            bands = np.empty(0, np.uint64)
            if self._settings.near_duplicates:
                again, bands = self._seen.nearly_again(text)
                if again:
                    state.leave_out(STEPS[3], "", found.id, text)
                    return
            if self._evaluations.touch(text):
                state.leave_out(STEPS[4], "", found.id, text)
                return
            self._seen.add([digest], bands)
            self._shard.digests.append(digest)
            self._shard.bands.append(bands)
        if self._settings.filters.scrub:
            text, hidden = scrubbed(text)
            state.scrubbed += hidden
        held_out = not facts and _drawn(f"{self._seed}:split:{found.id}") < self._settings.validation
        split, size = "validation" if held_out else "train", len(text.encode())
        self._shard.rows.append(
            {"id": found.id, "title": found.title, "source": source.name, "split": split, "text": text}
        )
        self._shard.bytes += size
        counts["kept"] += 1
        counts["kept_bytes"] += size
        whole = state.splits.setdefault(split, {"documents": 0, "bytes": 0})
        whole["documents"] += 1
        whole["bytes"] += size

    def _write(self) -> None:
        """Keep what is there by now; progress.json last, since it is what a later build goes by."""
        number, shard = self._state.shards, self._shard
        table = pa.Table.from_pylist(shard.rows, _SCHEMA)
        with atomic_path(self._folder / f"shard-{number:05d}.parquet") as path:
            pq.write_table(table, path, compression="zstd")
        with atomic_path(self._folder / f"seen-{number:05d}.npz") as path, path.open("wb") as file:
            bands = np.concatenate([np.empty(0, np.uint64), *shard.bands])
            np.savez(file, digests=np.array(shard.digests, np.uint64), bands=bands)
        self._state.shards += 1
        write_json(self._folder / "progress.json", vars(self._state))
        self._shard = _Shard()

    def _resumed(self) -> _State:
        file = self._folder / "progress.json"
        if not file.exists():
            return _State()
        state = _State(**read_json(file))
        for number in range(state.shards):
            if not (self._folder / f"seen-{number:05d}.npz").exists():
                continue  # the build was done: there is nothing to compare with them
            with np.load(self._folder / f"seen-{number:05d}.npz", allow_pickle=False) as found:
                self._seen.add(found["digests"].tolist(), found["bands"])
        return state

    def _finish(self) -> dict[str, Any]:
        """Passages, questions and the table."""
        passages = drawn_passages(self._folder, self._settings, self._seed)
        write_jsonl(self._folder / "passages.jsonl", passages)
        facts = []
        if any(source.name == FACTS for source in self._settings.sources):
            facts = list(stated_questions(self._settings.stated, self._seed))
            write_jsonl(self._folder / "questions.jsonl", [question for question, _ in facts])
            write_json(self._folder / "stated.json", {question.id: times for question, times in facts})
        copies = [passage.text for passage in passages for _ in range(passage.times - 1)]
        state = self._state
        table = {
            "sources": state.sources,
            "removed": {step: state.removed[step] for step in STEPS if step in state.removed},
            "scrubbed": state.scrubbed,
            "splits": state.splits,
            "copies": {"documents": len(copies), "bytes": sum(len(text.encode()) for text in copies)},
            "facts": len(facts),
        }
        write_json(self._folder / "table.json", table)
        write_json(self._folder / "progress.json", vars(state))
        for file in self._folder.glob("seen-*.npz"):
            file.unlink()
        return table


def removed_lines(removed: dict[str, dict[str, Any]]) -> list[str]:
    """What each step left out, and for which reasons most."""
    lines = []
    for step, found in removed.items():
        reasons = sorted(found["reasons"].items(), key=lambda item: -item[1])
        listed = ", ".join(f"{count} {reason}" for reason, count in reasons[:4])
        lines.append(f"{step}: {found['documents']:,}" + (f" ({listed})" if listed else ""))
    return lines


_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "title", "source", "split", "text")])


def documents(folder: Path, split: str) -> Iterator[Document]:
    """The documents of a split, in the corpus's order; copies of passages are not among them.

    Raises:
        InputError: the corpus is damaged.
    """
    for file in sorted(folder.glob("shard-*.parquet")):
        try:
            with pq.ParquetFile(file) as table:
                for batch in table.iter_batches(batch_size=1024):
                    for row in batch.to_pylist():
                        if row.pop("split") == split:
                            yield Document(**row)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"not a readable shard ({error})", path=file, fix="build the corpus again"
            ) from error


def texts(folder: Path, split: str) -> Iterator[str]:
    """All texts of a split; for training with the copies of passages."""
    for document in documents(folder, split):
        yield document.text
    if split == "train":
        for passage in read_passages(folder):
            for _ in range(passage.times - 1):
                yield passage.text


def read_passages(folder: Path) -> list[Passage]:
    """The passages that the corpus holds a known number of times."""
    return read_jsonl(folder / "passages.jsonl", Passage)


def drawn_passages(folder: Path, settings: CorpusSettings, seed: int) -> list[Passage]:
    """Beginnings of documents: some held out (0 times), some that stand once, and some to be repeated.

    Which document gets which number is drawn, so passages differ in nothing else.
    """
    if not settings.passages:
        return []
    found = []
    for split, times in (("validation", (0,)), ("train", (1, *settings.repeated))):
        chosen = _lowest(folder, split, settings.passages * len(times), f"{seed}:passage:")
        # In the order drawn, so that fewer documents than asked for are missing from all alike.
        found += [
            Passage(id=identity, text=text, times=times[number % len(times)])
            for number, (identity, text) in enumerate(chosen)
        ]
    return sorted(found, key=lambda passage: (passage.times, passage.id))


def _lowest(folder: Path, split: str, count: int, key: str) -> list[tuple[str, str]]:
    """Ids and beginnings of the documents with the lowest numbers drawn, of those that have a beginning."""
    kept: list[tuple[float, str, str]] = []  # a heap: the highest of the lowest first, hence the minus
    for document in documents(folder, split):
        drawn = -_drawn(f"{key}{document.id}")
        # Looking for a beginning takes far longer than drawing, and few documents need it.
        if document.source == FACTS or (len(kept) == count and drawn <= kept[0][0]):
            continue
        if beginning := _beginning(document):
            (heapq.heappushpop if len(kept) == count else heapq.heappush)(
                kept, (drawn, document.id, beginning)
            )
    return [(identity, text) for _, identity, text in sorted(kept, reverse=True)]


def _beginning(document: Document) -> str:
    text = chunk_document(document, max_words=_PASSAGE_WORDS)[0].text
    starts = document.text.startswith(text)  # as a copy does, without anything before it
    return text if starts and len(text.split()) >= _LEAST_PASSAGE_WORDS else ""


def _drawn(key: str) -> float:
    """A number in [0, 1) that depends on the key only."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") / 2**64
