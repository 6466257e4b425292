"""A run's events.jsonl as it grows: curves of what its steps measure, and the last things that happened."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from candor.report import wording
from candor.report.curves import Curve, curve
from candor.report.evidence import estimate_of
from candor.report.plotted import Figure
from candor.serve.runs.reading import MAX_EVENTS, lines_from, parsed

_BLOCK = 4 << 20  # bytes read at once
_KEPT_STEPS = 40_000  # of a run in memory; of more, every second is kept
_POINTS = 300  # of a line
_LINES = 6  # of a plot: as many as can be told apart
_PLOTS = 10
_RECENT = 12
# Numbers that name a row and measure nothing, and some that only make the page longer.
_NO_MEASURES = {"step", "steps", "member", "seed", "learning_rate", "n"}
_FIRST = (
    "loss",
    "bits_per_byte",
    "reward",
    "accuracy",
    "greedy_accuracy",
    "kl",
    "chi2",
    "effective",
    "tokens",
)
_LAST = ("grad_norm", "clip_fraction", "mismatch", "mfu", "tokens_per_second", "seconds")


@dataclass(frozen=True)
class Seen:
    """What a page shows of a run's events.

    Attributes:
        offset: bytes that were read.
        figures: a plot of each measure that has two steps at least.
        recent: the last events that are no steps, the newest first.
        last: when the last event was, and which step.
    """

    offset: int = 0
    figures: tuple[Figure, ...] = ()
    recent: tuple[dict[str, Any], ...] = ()
    last: str = ""


class Log:
    """What was read of one run's events so far; one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin()

    def _begin(self) -> None:
        self._offset, self._file = 0, (0, 0)
        self._every, self._steps = 1, 0
        self._shown: Seen | None = None
        self.rows: dict[float, dict[str, float]] = {}
        self.recent: deque[dict[str, Any]] = deque(maxlen=_RECENT)
        self.last = ""  # what the last event says: when it was, and which step

    @property
    def offset(self) -> int:
        """Bytes that were read."""
        return self._offset

    def seen(self) -> Seen:
        """What there is to show; drawn once for each time that something was added."""
        if self._shown is None or self._shown.offset != self._offset:
            self._shown = Seen(self._offset, tuple(self.figures()), tuple(reversed(self.recent)), self.last)
        return self._shown

    def update(self) -> None:
        """Read on; from the start if the file was cut or is another one."""
        try:
            about = self._path.stat()
        except OSError:
            self._begin()
            return
        if about.st_size < self._offset or self._file not in ((0, 0), (about.st_dev, about.st_ino)):
            self._begin()
        self._file = (about.st_dev, about.st_ino)
        if not self._offset and about.st_size > MAX_EVENTS:
            self._offset = about.st_size - MAX_EVENTS
        while self._offset < about.st_size:
            before = self._offset
            try:
                for end, line in lines_from(self._path, self._offset, _BLOCK):
                    self._offset = end
                    event = parsed(line)
                    if event is not None:
                        self._take(event)
            except OSError:
                return
            if self._offset == before:  # the last line is under way, or is longer than any of ours
                if about.st_size - before < _BLOCK:
                    return
                self._offset += _BLOCK

    def _take(self, event: Mapping[str, Any]) -> None:
        kind = str(event.get("event", ""))
        if kind == "stage forgotten":  # its steps will come again
            self.rows.clear()
        step = estimate_of(event.get("step"))
        self.last = _moment(event.get("time"))
        if step is not None and step.value is not None:
            of = f" of {event['steps']}" if isinstance(event.get("steps"), int) else ""
            self.last += f", step {wording.count(step.value)}{of}"
        if step is None or step.value is None:
            self.recent.append(_short(event))
            return
        self._steps += 1
        # What comes beside steps (held out, validation) is rare, and kept.
        if kind in ("step", "update") and self._steps % self._every:
            return
        row = self.rows.setdefault(step.value, {})
        member = event.get("member")
        who = f"member {member}" if isinstance(member, int) else "" if kind in ("step", "update") else kind
        for key, value in event.items():
            number = estimate_of(value)
            if key not in _NO_MEASURES and number is not None and number.value is not None:
                row[f"{who}\n{key.removeprefix(f'{kind}_')}"] = number.value
        if len(self.rows) > _KEPT_STEPS:
            self._every *= 2
            steps = sorted(self.rows)
            self.rows = {step: self.rows[step] for step in steps[::2]}

    def figures(self) -> list[Figure]:
        """A plot of each measure that has two steps at least."""
        keys = sorted({key for row in self.rows.values() for key in row})
        measures: dict[str, list[str]] = {}
        for key in keys:
            measures.setdefault(key.partition("\n")[2], []).append(key)
        found = []
        for measure in sorted(measures, key=_order):
            plot = self._figure(len(found), measure, measures[measure][:_LINES])
            if plot is not None:
                found.append(plot)
            if len(found) == _PLOTS:
                break
        return found

    def _figure(self, place: int, measure: str, keys: list[str]) -> Figure | None:
        rows: list[dict[str, float]] = []
        pooled = 1
        for key in keys:
            points = [(step, row[key]) for step, row in sorted(self.rows.items()) if key in row]
            size = -(-len(points) // _POINTS)
            pooled = max(pooled, size)
            for start in range(0, len(points), max(1, size)):
                part = points[start : start + size]
                steps, values = zip(*part, strict=True)
                # The last step of a part, so that the line ends where the run is.
                rows.append({"step": steps[-1], key: sum(values) / len(values)})
        title = wording.humanised(measure)[:60]
        own = "training" if len(keys) > 1 else title.lower()
        lines = tuple((key, key.partition("\n")[0][:40] or own) for key in keys)
        caption = f"Each point is the mean of up to {pooled} steps." if pooled > 1 else ""
        return curve(Curve(str(place), title, title, lines, caption), rows)


def _order(measure: str) -> tuple[int, str]:
    if measure in _FIRST:
        return _FIRST.index(measure), measure
    bookkeeping = measure in _LAST or measure.endswith("_seconds")
    return (len(_FIRST) + bookkeeping), measure


def _moment(time: object) -> str:
    """A time as people read it; a run's times are UTC."""
    return str(time or "").replace("T", " ").removesuffix("+00:00")[:40]


def _short(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event in a line: its time, what it is, and its plain values."""
    plain = (
        f"{wording.humanised(str(key))}: {value}"
        for key, value in event.items()
        if key not in ("time", "event") and isinstance(value, str | int | float) and value != ""
    )
    return {
        "time": _moment(event.get("time")),
        "event": str(event.get("event", ""))[:80],
        "text": "; ".join(plain)[:400],
    }
