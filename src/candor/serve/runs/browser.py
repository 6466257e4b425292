"""What the browser knows of its folder; threads take turns."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from candor.core.errors import CandorError
from candor.report.evidence import read_evidence
from candor.report.page import report_text
from candor.serve.errors import RequestError
from candor.serve.runs.folder import Folder
from candor.serve.runs.reading import Stamp, stamp
from candor.serve.runs.summary import Summaries, Summary
from candor.serve.runs.watch import Log, Seen

MAX_REPORT = 64 << 20  # bytes of the files that a report is made of
_REPORTED = ("recipe.toml", "manifest.json", "metrics.json", "events.jsonl", "evaluation/items.jsonl")
_REPORTS, _LOGS = 4, 8  # kept
_LOG = logging.getLogger(__name__)


class Browser:
    """The runs of a folder, and what was read of them.

    Args:
        path: the folder.

    Raises:
        CandorError: there is none.
    """

    def __init__(self, path: Path) -> None:
        self.folder = Folder.of(path)
        self._summaries = Summaries(self.folder)
        self._reports: OrderedDict[str, tuple[Stamp, str]] = OrderedDict()
        self._logs: OrderedDict[str, Log] = OrderedDict()
        self._turn, self._drawing = threading.Lock(), threading.Lock()

    def runs(self) -> list[Summary]:
        """Every run, the newest first."""
        with self._turn:
            return self._summaries.all()

    def summary(self, name: str) -> Summary:
        """One run; see `Folder.run` for what is raised."""
        run = self.folder.run(name)
        with self._turn:
            return self._summaries.of(name, run)

    def seen(self, name: str) -> Seen:
        """A run's events, read up to their end."""
        path = self.folder.file(self.folder.run(name), "events.jsonl")
        if path is None:
            return Seen()
        with self._turn:
            log = self._logs.pop(name, None) or Log(path)
            self._logs[name] = log
            if len(self._logs) > _LOGS:
                self._logs.popitem(last=False)
            log.update()
            return log.seen()

    def report(self, name: str) -> str:
        """A run's report as HTML text, drawn from what it recorded so far.

        A report.html in the folder is not opened: it may be old, and anybody's. Nothing is written.

        Raises:
            RequestError: 422, what it is made of is damaged, too large, or lies elsewhere.
        """
        run = self.folder.run(name)
        if link := self.folder.leaves(run):
            raise _undrawn(f"{link} is a link that leads out of the folder that is shown")
        files = stamp(self.folder, run, *_REPORTED)
        if sum(size for _, size in files) > MAX_REPORT:
            raise _undrawn(
                f"its files have more than {MAX_REPORT >> 20} MiB; `candor report` draws it without a limit"
            )
        with self._drawing:
            found = self._reports.get(name)
            if found is None or found[0] != files:
                found = files, _drawn(run)
            self._reports[name] = found
            self._reports.move_to_end(name)
            if len(self._reports) > _REPORTS:
                self._reports.popitem(last=False)
            return found[1]


def _drawn(run: Path) -> str:
    try:
        return report_text(read_evidence(run))
    except CandorError as error:
        raise _undrawn(error.message) from error
    except Exception as error:  # results of any shape: another version's, or damaged
        _LOG.warning("the report of %s can't be drawn", run, exc_info=True)
        raise _undrawn("its results are not as this version of Candor writes them") from error


def _undrawn(why: str) -> RequestError:
    return RequestError(422, f"the report can't be drawn: {why}", code="no_report")


def stages_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The stages that are done, in their order, with what they cost."""
    stages = manifest.get("stages")
    found = []
    for name, about in stages.items() if isinstance(stages, dict) else ():
        table = about if isinstance(about, dict) else {}
        found.append(
            {
                "name": str(name)[:80],
                "seconds": table.get("seconds"),
                "bytes": table.get("peak_memory_bytes"),
                "finished": str(table.get("finished", "")).replace("T", " ").removesuffix("+00:00")[:40],
            }
        )
    return found[:200]
