"""Shards that tell when and where they are worked on, and some that end badly; workers import them, too."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from candor.cluster.shards import Files, Shard
from candor.core.errors import InputError
from candor.engine.protocol import Engine, Sampling


class LoggedShard(Shard):
    """Goes on with a text, slowly, and notes each beginning in a file: the shard's name and the process."""

    text: str
    log: str
    seconds: float = 0.0

    @property
    def size(self) -> int:
        return 1

    def work(self, engine: Engine) -> Files:
        with Path(self.log).open("a", encoding="utf-8") as file:
            file.write(f"{self.name} {os.getpid()}\n")
        time.sleep(self.seconds)
        said = engine.generate([self.text], Sampling(max_tokens=8, temperature=1.0, n=4))[0]
        return {self.mark: "".join(f"{completion.text!r}\n" for completion in said.completions).encode()}


class DeadlyShard(LoggedShard):
    """Its worker dies of it, each time."""

    def work(self, engine: Engine) -> Files:
        super().work(engine)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class RefusedShard(LoggedShard):
    """Raises what a user can mend."""

    def work(self, engine: Engine) -> Files:
        super().work(engine)
        raise InputError("expected a text", path="texts.jsonl", line=3, field="text", fix="write one")


class BrokenShard(LoggedShard):
    """Raises what is a bug."""

    def work(self, engine: Engine) -> Files:
        super().work(engine)
        return {self.mark: str(1 // (self.size - 1)).encode()}


def logged(log: Path, count: int, seconds: float) -> list[LoggedShard]:
    return [
        LoggedShard(name=f"part-{place}", text=f"Number {place} is", log=str(log), seconds=seconds)
        for place in range(count)
    ]


def begun(log: Path) -> list[tuple[str, int]]:
    """(shard, process) of every beginning."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [(name, int(process)) for name, process in (line.split() for line in lines)]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
