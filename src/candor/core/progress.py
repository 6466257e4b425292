"""Progress of long work: bars with rate and time left on a terminal, a few lines elsewhere, or JSON."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Mode = Literal["auto", "json", "quiet"]

# In a log file a line every so often says that it is alive, and no more.
_LOG_SECONDS = 20.0


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


class Reporter:
    """Where a command says what it is doing.

    Args:
        mode: `auto` shows bars on a terminal and a few plain lines elsewhere; `json` prints one object a
            line; `quiet` prints nothing.
    """

    def __init__(self, mode: Mode = "auto") -> None:
        self.mode = mode
        self.console = Console(stderr=True, quiet=mode != "auto", highlight=False)

    def say(self, text: str, **fields: Any) -> None:
        """A line for people; `fields` go with it for machines."""
        if self.mode == "json":
            print(json.dumps({"message": text, **fields}, ensure_ascii=False), flush=True)
        else:
            self.console.print(text, markup=False)  # a path may hold what rich takes for markup

    @contextlib.contextmanager
    def bar(self, title: str, total: int | None, *, start: int = 0) -> Iterator[Bar]:
        """Progress over `total` items (None: nobody knows), of which `start` were done before."""
        if self.mode == "auto" and self.console.is_terminal:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
            )
            with Progress(*columns, console=self.console, transient=False) as progress:
                task = progress.add_task(title, total=total, completed=start, note="")

                def show(done: int, whole: int | None, note: str) -> None:
                    progress.update(task, completed=done, total=whole, note=note)

                yield Bar(show, start, total)
        else:
            log = _Log(self, title, total, start)
            yield Bar(log.show, start, total)
            log.close()


class _Log:
    """Progress as lines, at most one every few seconds."""

    def __init__(self, reporter: Reporter, title: str, total: int | None, start: int) -> None:
        self.reporter, self.title, self.total, self.begin = reporter, title, total, start
        self.started = self.last = time.monotonic()
        self.done, self.note = start, ""

    def show(self, done: int, total: int | None, note: str) -> None:
        self.done, self.total, self.note = done, total, note
        if time.monotonic() - self.last >= _LOG_SECONDS:
            self._print()

    def close(self) -> None:
        # Work of under two seconds is not worth a line in a log.
        if time.monotonic() - self.started > 2:
            self._print()

    def _print(self) -> None:
        self.last = time.monotonic()
        rate = (self.done - self.begin) / max(self.last - self.started, 1e-9)
        left = of = ""
        if self.total is not None:
            of = f"/{self.total}"
            left = f", {(self.total - self.done) / rate:.0f} s left" if rate > 0 else ""
        self.reporter.say(
            f"{self.title}: {self.done}{of} ({rate:.1f}/s{left}) {self.note}".rstrip(),
            progress=self.title,
            done=self.done,
            total=self.total,
        )


class Bar:
    """Handle of one progress bar."""

    def __init__(self, show: Callable[[int, int | None, str], None], start: int, total: int | None) -> None:
        self._show = show
        self.done, self.total = start, total

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count more items as done."""
        self.progress(self.done + count, self.total, note)

    def progress(self, done: int, total: int | None, note: str = "") -> None:
        """Say how many of how many are done, when the total is known only on the way."""
        self.done, self.total = done, total
        self._show(done, total, note)
