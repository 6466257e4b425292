"""Conversations from files and Hugging Face data sets, one at a time, with the place of each.

    for where, conversation in read_conversations("chats.jsonl"): ...

A row that is no conversation stops the reading with an error that names its place and the fix. Given a
`Tally`, a reader can also leave such rows out (`skip_invalid`), and counts them by kind with some samples.
Layouts and their rules are those of `candor.data.chat_layouts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from candor.core.errors import InputError, printable
from candor.core.files import read_json_lines
from candor.data.chat_layouts import Layout, conversation_of
from candor.data.chat_rows import RowError, Where
from candor.data.conversations import Conversation
from candor.data.formats import extension_of
from candor.data.hub import hub_rows

_NOT_JSON = "not a JSON object"


@dataclass(frozen=True)
class Sample:
    """One row that was left out; `number` counts those, from 1."""

    number: int
    path: str
    line: int
    message: str
    fix: str | None = None


@dataclass
class Problem:
    """All rows that were left out for one reason."""

    count: int = 0
    samples: list[Sample] = field(default_factory=list)


@dataclass
class Tally:
    """What readers have met so far; one can serve for several files.

    Attributes:
        conversations: given out.
        unanswered: of those, how many end in turns after the last assistant turn; nothing is learned there.
        problems: rows left out, by reason.
        samples: of how many rows of each reason the message is kept.
        last: the error of the row that was left out last.
    """

    conversations: int = 0
    unanswered: int = 0
    problems: dict[str, Problem] = field(default_factory=dict)
    samples: int = 3
    last: InputError | None = None

    @property
    def left_out(self) -> int:
        """How many rows were left out."""
        return sum(problem.count for problem in self.problems.values())

    def add(self, conversation: Conversation) -> None:
        """Count a conversation."""
        self.conversations += 1
        self.unanswered += conversation.messages[-1].role != "assistant"

    def leave_out(self, reason: str, error: InputError) -> None:
        """Count a row that is left out, and keep a sample of its kind."""
        problem = self.problems.setdefault(reason, Problem())
        problem.count += 1
        self.last = error
        if len(problem.samples) < self.samples:
            path = "" if error.path is None else printable(error.path)
            problem.samples.append(Sample(self.left_out, path, error.line or 0, error.message, error.fix))

    def first(self, count: int) -> list[Sample]:
        """The first rows that were left out, whatever for; all of them, up to `samples`."""
        kept = [sample for problem in self.problems.values() for sample in problem.samples]
        return sorted(kept, key=lambda sample: sample.number)[:count]

    def as_json(self) -> dict[str, Any]:
        """Counts, reasons and samples as plain values."""
        problems = {reason: asdict(problem) for reason, problem in self.problems.items()}
        counts = {"conversations": self.conversations, "unanswered": self.unanswered}
        return {**counts, "left_out": self.left_out, "problems": problems}


class NoConversationsError(InputError):
    """A file or data set in which there is no conversation, or none is left."""


def read_conversations(
    path: Path | str, *, layout: Layout = "auto", tally: Tally | None = None, skip_invalid: bool = False
) -> Iterator[tuple[Where, Conversation]]:
    """Yield (where, conversation) of a `.jsonl`, `.jsonl.gz` or `.parquet` file, in the file's order.

    Args:
        path: the file.
        layout: of its rows; `auto` goes by the fields of each row.
        tally: counts what was read.
        skip_invalid: leave out rows that are no conversations, and count them in `tally`.

    Raises:
        InputError: the file can't be read; a row is no conversation, and is not skipped; or there is no
            conversation in it (`NoConversationsError`).
    """
    path = Path(path)
    tally = tally or Tally()
    kind = extension_of(path)
    if path.is_dir():
        raise InputError("is a folder", path=path, fix="name the files in it")
    if kind in (".jsonl", ".jsonl.gz"):
        rows = read_json_lines(
            path, (lambda error: tally.leave_out(_NOT_JSON, error)) if skip_invalid else None
        )
    elif kind == ".parquet":
        rows = _parquet_rows(path)
    else:
        raise InputError(
            f"can't read conversations from {kind or 'a file without an extension'}",
            path=path,
            fix="give a .jsonl, .jsonl.gz or .parquet file",
        )
    return _conversations(rows, path, layout, tally, skip_invalid)


def hub_conversations(
    name: str,
    *,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
    layout: Layout = "auto",
    tally: Tally | None = None,
    skip_invalid: bool = False,
) -> Iterator[tuple[Where, Conversation]]:
    """The same of a Hugging Face data set, read as a stream; see `hub_rows` for how it is named.

    Raises:
        CandorError: `datasets` is not installed, or one of the errors of `read_conversations`.
    """
    rows = hub_rows(name, config=config, split=split, revision=revision)
    return _conversations(rows, name, layout, tally or Tally(), skip_invalid)


def _conversations(
    rows: Iterable[tuple[int, dict[str, Any]]], path: Path | str, layout: Layout, tally: Tally, skip: bool
) -> Iterator[tuple[Where, Conversation]]:
    before, left_out = tally.conversations, tally.left_out
    for line, row in rows:
        where = Where(path, line)
        try:
            conversation = conversation_of(row, where, layout)
        except RowError as error:
            if not skip:
                raise
            tally.leave_out(error.reason, error)
            continue
        tally.add(conversation)
        yield where, conversation
    if tally.conversations == before:
        raise _nothing(path, tally, tally.left_out - left_out)


def _nothing(path: Path | str, tally: Tally, left_out: int) -> NoConversationsError:
    if not left_out:
        return NoConversationsError(
            "there are no conversations in it",
            path=path,
            fix='write one {"messages": [{"role": "user", "content": …}, …]} a line',
        )
    last = tally.last
    return NoConversationsError(
        f"none of its {left_out:,} rows is a conversation" + (f"; the last: {last.message}" if last else ""),
        path=path,
        fix=last.fix if last else None,
    )


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (1-based row number, row); all columns, since the layout goes by them."""
    import pyarrow as pa  # noqa: PLC0415  # only needed for Parquet
    import pyarrow.parquet as pq  # noqa: PLC0415

    if not path.is_file():
        raise InputError("no such file", path=path, fix="check the path")
    number = 0
    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    # Texts that are not UTF-8 show only when they become strings.
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"not a readable Parquet file ({error})", path=path, fix="write it again, or use JSONL"
        ) from error
