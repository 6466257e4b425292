"""Plots of ways of asking: by task, by size, by tokens allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from candor.report import wording
from candor.report.charts import Axis, Mark, Row, Series, line_chart
from candor.report.evidence import Evidence, estimate_of, number_of
from candor.report.plotted import Figure, rows_figure
from candor.report.svg import figure, legend
from candor.report.think_tables import whole


def ways_figure(evidence: Evidence) -> Figure | None:
    """Right answers of each task and way."""
    rows, styles = [], _styles(evidence)
    for row in whole(evidence):
        estimate, way = estimate_of(row.get("right")), str(row.get("way"))
        if estimate:
            rows.append(Row(f"{wording.task_name(str(row.get('task')))}, {way}", estimate, styles[way]))
    if not rows:
        return None
    return Figure(
        rows_figure("ways", "Right answers by task and way of asking", rows),
        "The same weights and the same problems; whiskers are 95% intervals (Wilson).",
        _legend(styles, "fill {}", "box"),
    )


def sizes_figures(evidence: Evidence) -> list[Figure]:
    """Right answers by digits or steps, a plot for each task that has sizes."""
    found = []
    styles = _styles(evidence)
    for place, (task, rows) in enumerate(_by_task(evidence.rows("accuracy"))):
        points: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        what = ""
        for row in rows:
            sized = re.fullmatch(r"([0-9]+) (digit|step)s?", str(row.get("kind")))
            if sized:
                what = f"{sized[2]}s"
                points.setdefault(str(row.get("way")), []).append((float(sized[1]), row))
        lines = [
            line
            for way, some in points.items()
            if (line := _series(way, sorted(some, key=_first), styles[way]))
        ]
        if not lines:
            continue
        xs = [x for line in lines for x in line.xs]
        axis = Axis(what, min(xs), max(xs), wording.plain, about=int(max(xs) - min(xs)) or 1)
        title = f"Right answers to {wording.task_name(task)}, by number of {what}"
        found.append(
            Figure(
                _lines(f"sizes-{place}", title, axis, lines),
                f"{wording.task_name(task)}: a point is all problems of a size; whiskers: 95% intervals.",
                _legend({line.label: styles[line.label] for line in lines}, "stroke {}", "line"),
            )
        )
    return found


def budget_figures(evidence: Evidence) -> list[Figure]:
    """Right answers by tokens allowed, a plot for each task."""
    found = []
    styles = _styles(evidence)
    for place, (task, rows) in enumerate(_by_task(evidence.rows("budgets"))):
        points: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        for row in rows:
            budget = number_of(row.get("budget"))
            if budget is not None and budget >= 1:
                points.setdefault(str(row.get("way")), []).append((math.log2(budget), row))
        lines = [
            line
            for way, some in points.items()
            if (line := _series(way, sorted(some, key=_first), styles[way]))
        ]
        if not lines:
            continue
        xs = [x for line in lines for x in line.xs]
        axis = Axis(
            "tokens before the answer",
            min(xs),
            max(xs),
            lambda x: wording.count(2 ** (x or 0)),
            about=round(max(xs) - min(xs)) or 1,
        )
        found.append(
            Figure(
                _lines(
                    f"budget-{place}",
                    f"Right answers to {wording.task_name(task)}, by tokens allowed",
                    axis,
                    lines,
                ),
                f"{wording.task_name(task)}: the same completions, cut; whiskers: 95% intervals.",
                _legend({line.label: styles[line.label] for line in lines}, "stroke {}", "line"),
            )
        )
    return found


def _lines(name: str, title: str, x: Axis, lines: Sequence[Series]) -> Any:
    """Lines whose points have whiskers, a little apart: bands of five ways would lie on one another."""
    y = Axis("right", 0.0, 1.0, wording.percent)
    apart = 0.012 * (x.high - x.low)
    # Room at both ends for the points that are moved.
    wide = Axis(x.label, x.low - 3 * apart, x.high + 3 * apart, x.format, x.about + 1)
    bare = [Series(line.label, line.xs, line.ys, line.style) for line in lines]
    marks = [
        Mark(
            f"{line.label}, {x.format(a)} {x.label}: {wording.percent(b)}",
            a + apart * (place - (len(lines) - 1) / 2),
            b,
            line.style,
            "dot",
            3.5,
            low,
            high,
        )
        for place, line in enumerate(lines)
        for a, b, low, high in zip(line.xs, line.ys, line.low, line.high, strict=True)
    ]
    words = "; ".join(mark.label for mark in marks)
    return figure(name, title, words, lambda width: line_chart(width, wide, y, series=bare, marks=marks))


def _series(way: str, points: Sequence[tuple[float, dict[str, Any]]], style: str) -> Series | None:
    known = [(x, found) for x, row in points if (found := estimate_of(row.get("right")))]
    if len(known) < 2:
        return None
    xs, estimates = zip(*known, strict=True)
    return Series(
        way,
        xs,
        [found.value or 0.0 for found in estimates],
        style,
        [found.low for found in estimates],
        [found.high for found in estimates],
    )


def _by_task(rows: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    tasks = dict.fromkeys(str(row.get("task")) for row in rows)
    return [(task, [row for row in rows if str(row.get("task")) == task]) for task in tasks]


def _styles(evidence: Evidence) -> dict[str, str]:
    """A colour for each way."""
    rows = [*evidence.rows("accuracy"), *evidence.rows("budgets")]
    return {
        way: f"s{place % 8}" for place, way in enumerate(dict.fromkeys(str(row.get("way")) for row in rows))
    }


def _legend(styles: dict[str, str], form: str, shape: str) -> Any:
    return legend([(way, form.format(style), shape) for way, style in styles.items()])


def _first(pair: tuple[float, dict[str, Any]]) -> float:
    return pair[0]
