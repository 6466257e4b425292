"""Shards are done once, written whole, and gone on with, whoever works on them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from candor.cluster.shards import Files, Here, Shard, complete, cut
from candor.core.errors import CandorError
from candor.engine.protocol import Engine


class Note(Shard):
    text: str

    @property
    def size(self) -> int:
        return 2

    def work(self, engine: Engine) -> Files:
        if self.text == "refused":
            raise CandorError("not this one")
        return {f"{self.name}.txt": self.text.encode(), self.mark: b"{}\n"}


class Backwards:
    """Workers that finish in another order, and say what they were given."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self.closed = False

    def work(self, shards: Sequence[Shard]) -> Generator[tuple[Shard, Files]]:
        self.given += [shard.name for shard in shards]
        try:
            for shard in reversed(shards):
                yield shard, shard.work(None)  # type: ignore[arg-type]
        finally:
            self.closed = True


NOTES = [Note(name=f"note-{place}", text=f"text {place}") for place in range(4)]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_do_not_depend_on_the_order_in_which_shards_get_done(tmp_path: Path) -> None:
    here, backwards = tmp_path / "here", tmp_path / "backwards"
    assert complete(NOTES, here, Here(lambda: None)) == 8  # type: ignore[arg-type,return-value]
    assert complete(NOTES, backwards, Backwards()) == 8
    assert tree(here) == tree(backwards)
    assert len(tree(here)) == 8


def test_only_shards_that_lack_their_mark_are_worked_on(tmp_path: Path) -> None:
    complete(NOTES[:2], tmp_path, Backwards())
    (tmp_path / "note-0.jsonl").unlink()  # killed between a shard's two files
    workers, told = Backwards(), []
    assert complete(NOTES, tmp_path, workers, on_done=lambda shard: told.append(shard.name)) == 8
    assert workers.given == ["note-0", "note-2", "note-3"]
    assert sorted(told) == [note.name for note in NOTES]


def test_nobody_is_asked_for_when_all_is_done(tmp_path: Path) -> None:
    complete(NOTES, tmp_path, Backwards())
    workers = Backwards()
    assert complete(NOTES, tmp_path, workers) == 8
    assert workers.given == []


def test_a_deadline_ends_the_work_after_a_shard_and_closes_it(tmp_path: Path) -> None:
    workers = Backwards()
    assert complete(NOTES, tmp_path, workers, deadline=lambda: True) == 2
    assert workers.closed
    assert set(tree(tmp_path)) == {"note-3.txt", "note-3.jsonl"}


def test_an_error_leaves_what_was_done_before_and_ends_the_work(tmp_path: Path) -> None:
    workers = Backwards()
    with pytest.raises(CandorError, match="not this one"):
        complete([NOTES[0], Note(name="bad", text="refused"), NOTES[1]], tmp_path, workers)
    assert set(tree(tmp_path)) == {"note-1.txt", "note-1.jsonl"}
    assert workers.closed


def test_cut_pieces_are_all_items_in_order_under_names_of_their_own() -> None:
    pieces = list(cut("part", range(10), 4))
    assert [piece for _, piece in pieces] == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)]
    assert [name for name, _ in pieces] == ["part-0000", "part-0001", "part-0002"]
