"""Shards: pieces of a stage's work that give the same files wherever and whenever they are done.

A stage cuts its work into shards and completes them into a folder. Those that have their files are done; the
others are worked on here or elsewhere (`Workers`), and each one's files are written, whole, as it comes back.
So a killed run goes on with the shards that lack files, and a shard that was done twice changes nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol, TypeVar

from candor.core.files import write_bytes
from candor.data.types import Row
from candor.engine.protocol import Engine

Item = TypeVar("Item")
Files = dict[str, bytes]  # name to content; the last one shows that the shard is done


class Shard(Row, ABC):
    """A piece of work. What it gives depends on its fields and the model, and on nothing else.

    Its fields are plain data without NaN, since it travels as JSON.
    """

    name: str  # of its files, without what follows the dot; no other shard of the folder has it

    @property
    @abstractmethod
    def size(self) -> int:
        """How many items it is, for progress."""

    @property
    def mark(self) -> str:
        """The file that is there when the shard is done."""
        return f"{self.name}.jsonl"

    @abstractmethod
    def work(self, engine: Engine) -> Files:
        """Do it; `mark` comes last in what is returned."""


def cut(name: str, items: Sequence[Item], size: int) -> Iterator[tuple[str, tuple[Item, ...]]]:
    """Items in pieces of that size at most, each with a name of its own for its shard."""
    for number, begin in enumerate(range(0, len(items), size)):
        yield f"{name}-{number:04d}", tuple(items[begin : begin + size])


class Workers(Protocol):
    """Who works on shards."""

    def work(self, shards: Sequence[Shard]) -> Generator[tuple[Shard, Files]]:
        """Each shard with its files, in whatever order they get done; to close it ends the work."""
        ...


class Here:
    """One engine in this process, loaded when it is first needed."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine

    def work(self, shards: Sequence[Shard]) -> Generator[tuple[Shard, Files]]:
        """In their order."""
        for shard in shards:
            yield shard, shard.work(self._engine())


def complete(
    shards: Sequence[Shard],
    folder: Path,
    workers: Workers,
    *,
    on_done: Callable[[Shard], None] | None = None,
    deadline: Callable[[], bool] | None = None,
) -> int:
    """Do the shards that lack their files, and write these into the folder.

    Args:
        shards: all of them.
        folder: where their files are.
        workers: who works.
        on_done: called with each shard that has its files, those done before included.
        deadline: asked after each shard; True ends the work early.

    Returns:
        The items of all shards that have their files now.

    Raises:
        CandorError: what a shard raised, or the files can't be written.
    """
    done, missing = 0, []
    for shard in shards:
        if (folder / shard.mark).exists():
            done += shard.size
            if on_done:
                on_done(shard)
        else:
            missing.append(shard)
    if not missing:
        return done
    left = len(missing)
    with closing(workers.work(missing)) as results:
        for shard, files in results:
            for name, data in files.items():
                write_bytes(folder / name, data)
            done, left = done + shard.size, left - 1
            if on_done:
                on_done(shard)
            if left and deadline is not None and deadline():
                break
    return done
