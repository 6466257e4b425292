"""What the list says of each run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from candor.report.evidence import Evidence
from candor.report.headline import headline_of
from candor.serve.runs.folder import RECIPE, Folder, size_of
from candor.serve.runs.reading import read_object, read_settings, stamp
from candor.serve.runs.state import State, failed_of, stage_events, state_of

_LOG = logging.getLogger(__name__)
_LONGEST = 300  # characters of what a recipe or a report says


@dataclass(frozen=True)
class Summary:
    """One run.

    Attributes:
        name: its path below the folder.
        kind: `base`, `rl`, …
        subject: the model or the data that it is about.
        created: when it began, UTC.
        state: where it stands.
        headline: its result in a sentence, "" if it has none yet.
        bytes: of its files; `counted` is whether all of them were counted.
        problems: what of it can't be read.
    """

    name: str
    kind: str
    subject: str
    created: datetime
    state: State
    headline: str
    bytes: int
    counted: bool
    problems: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What a search looks through."""
        return f"{self.name} {self.kind} {self.subject} {self.state.words} {self.headline}".lower()

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            **asdict(self),
            "created": self.created.isoformat(timespec="seconds"),
            "state": {**asdict(self.state), "words": self.state.words},
        }


@dataclass(frozen=True)
class _Known:
    """Of a run what changes only when its files do."""

    stamp: Any
    summary: Summary
    events: list[dict[str, Any]]
    stages: dict[str, Any]
    failed: list[dict[str, str]]
    measured: bool


class Summaries:
    """Summaries of a folder's runs; what was read of files that did not change is read once."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._known: dict[str, _Known] = {}

    def all(self) -> list[Summary]:
        """Every run, the newest first."""
        names = self._folder.names()
        self._known = {name: known for name, known in self._known.items() if name in set(names)}
        found = [self.of(name, self._folder.root / name) for name in names]
        return sorted(found, key=lambda one: (one.created, one.name), reverse=True)

    def of(self, name: str, run: Path) -> Summary:
        """One run."""
        files = stamp(
            self._folder, run, RECIPE, "manifest.json", "metrics.json", "events.jsonl", "report.json"
        )
        known = self._known.get(name)
        if known is None or known.stamp != files:
            known = self._known[name] = self._read(name, run, files)
        state = state_of(run, known.events, known.stages, measured=known.measured, failed=known.failed)
        return Summary(**{**known.summary.__dict__, "state": state})

    def _read(self, name: str, run: Path, files: Any) -> _Known:
        settings, text, wrong = read_settings(self._folder, run)
        manifest, damaged = read_object(self._folder, run, "manifest.json")
        metrics, unread = read_object(self._folder, run, "metrics.json")
        problems = [problem for problem in (wrong, damaged, unread) if problem]
        evidence = Evidence(run=run, metrics=metrics, manifest=manifest, recipe=text)
        try:
            headline = headline_of(evidence)
        except Exception:  # metrics of any shape: another version's, or damaged
            _LOG.debug("no headline of %s", run, exc_info=True)
            headline = ""
            problems.append("metrics.json is not as this version of Candor writes it")
        stages = manifest.get("stages")
        stages = stages if isinstance(stages, dict) else {}
        # A life has no metrics of its own, its stages' runs have: its report.json tells of all stages.
        whole, _ = read_object(self._folder, run, "report.json")
        rows = whole.get("stages")
        lived = (
            [str(row.get("name")) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        )
        measured = bool(metrics) or (bool(lived) and all(name in stages for name in lived))
        headline = headline or str(whole.get("headline") or "")
        total, counted = size_of(run)
        summary = Summary(
            name=name,
            kind=str(settings.get("kind", "knowledge"))[:40],
            subject=_subject(settings)[:_LONGEST],
            created=_created(manifest.get("created"), run),
            state=State("unfinished"),
            headline=headline[:_LONGEST],
            bytes=total,
            counted=counted,
            problems=problems,
        )
        events = stage_events(self._folder, run)
        return _Known(files, summary, events, stages, failed_of(manifest), measured)


def _subject(settings: Mapping[str, Any]) -> str:
    """The model, or where there is none the data."""
    model = settings.get("model")
    name = model.get("name") if isinstance(model, Mapping) else model
    if isinstance(name, str) and name:
        return name
    for table in ("corpus", "data"):
        found = settings.get(table)
        sources = found.get("sources") if isinstance(found, Mapping) else None
        if isinstance(sources, list) and sources:
            named = [source for source in sources if isinstance(source, Mapping)]
            return ", ".join(
                str(source.get("path") or source.get("hub") or source.get("embedded") or "?")
                for source in named[:4]
            ) + (", …" if len(named) > 4 else "")
    # An audit has a log, a reward model has pairs.
    given = (settings.get(key) for key in ("log", "data", "pairs", "task"))
    return next((found for found in given if isinstance(found, str)), "")


def _created(value: object, run: Path) -> datetime:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        if found is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.fromtimestamp((run / RECIPE).stat().st_mtime, UTC)
    except (OSError, ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)
