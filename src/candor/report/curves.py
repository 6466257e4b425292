"""What changed from step to step, as lines: measures of the events that a run recorded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from candor.report import wording
from candor.report.charts import Axis, Series, line_chart
from candor.report.evidence import Evidence, number_of
from candor.report.plotted import Figure
from candor.report.svg import figure, legend


@dataclass(frozen=True)
class Curve:
    """One plot.

    Attributes:
        name: unique on the page.
        title, axis, caption: its words.
        lines: a key of the steps' events and a label for each line.
    """

    name: str
    title: str
    axis: str
    lines: tuple[tuple[str, str], ...]
    caption: str


def curves(
    evidence: Evidence, wanted: Sequence[Curve], shown: Callable[[dict[str, Any]], bool] = lambda event: True
) -> list[Figure]:
    """The plots of which a run has at least two steps; `shown` picks steps of one of several trainings."""
    points: dict[float, dict[str, Any]] = {}
    for event in evidence.events:
        step = number_of(event.get("step"))
        if event.get("event") == "step" and step is not None and shown(event):
            points[step] = event  # a killed run made some again
    rows = [row for _, row in sorted(points.items())]
    return [found for one in wanted if (found := curve(one, rows))]


def curve(wanted: Curve, rows: Sequence[dict[str, Any]]) -> Figure | None:
    """One plot, of rows with a `step` and measures; None with fewer than two of them."""
    series, entries, words = [], [], []
    for place, (key, called) in enumerate(wanted.lines):
        measured = [(number_of(row.get("step")), number_of(row.get(key))) for row in rows]
        found = [(step, value) for step, value in measured if step is not None and value is not None]
        if len(found) < 2:
            continue
        xs, ys = zip(*found, strict=True)
        series.append(Series(called, xs, ys, f"s{place}"))
        entries.append((called, f"stroke s{place}", "line"))
        words.append(f"{called}: {ys[0]:.3g} at step {xs[0]:.0f}, {ys[-1]:.3g} at step {xs[-1]:.0f}")
    if not series:
        return None
    values = [y for line in series for y in line.ys]
    x = Axis(
        "steps",
        min(line.xs[0] for line in series),
        max(line.xs[-1] for line in series),
        wording.plain,
        counts=True,
    )
    y = Axis(wanted.axis, min(0.0, math.floor(min(values))), _above(max(values)), wording.plain)
    plot = figure(
        f"curve-{wanted.name}",
        wanted.title,
        "; ".join(words),
        lambda width: line_chart(width, x, y, series=series),
    )
    return Figure(plot, wanted.caption, legend(entries))


def _above(value: float) -> float:
    """A round number that is not below."""
    if value <= 1:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return math.ceil(value / power) * power
