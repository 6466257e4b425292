"""The kinds of plot in a report: rows with intervals, stacked bars, and lines over two axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from candor.core.statistics import Estimate
from candor.report.svg import LETTER, NARROW, STRONG_LETTER, Drawing, fitted, ticks

Format = Callable[[float | None], str]


@dataclass(frozen=True)
class Row:
    """One row of a row chart: a bar from zero or a dot, with the estimate's interval as a whisker."""

    label: str
    estimate: Estimate
    style: str = "s0"
    shape: str = "bar"


@dataclass(frozen=True)
class Axis:
    """One axis of a line chart."""

    label: str
    low: float
    high: float
    format: Format
    about: int = 5
    counts: bool = False  # of steps, tokens: no fractions

    def ticks(self) -> list[float]:
        """Round numbers on the axis."""
        found = ticks(self.low, self.high, self.about)
        return [value for value in found if value == round(value)] if self.counts else found


@dataclass(frozen=True)
class Series:
    """One line, with an optional band between `low` and `high`."""

    label: str
    xs: Sequence[float]
    ys: Sequence[float]
    style: str
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()


@dataclass(frozen=True)
class Mark:
    """One point with its tooltip; `low` and `high` draw a whisker."""

    label: str
    x: float
    y: float
    style: str
    shape: str = "diamond"
    radius: float = 6
    low: float | None = None
    high: float | None = None


def rows_chart(
    rows: Sequence[Row],
    width: float,
    *,
    low: float = 0.0,
    high: float = 1.0,
    format: Format,
    tick: Format | None = None,
    axis: bool = True,
    heading: str = "",
    reference: tuple[float, str] | None = None,
) -> Drawing:
    """Rows of bars or dots on one axis; `reference` draws a labelled vertical line.

    `format` writes the values, `tick` the axis where it needs fewer digits; `axis` False leaves the axis out.
    Labels stand left of the marks where there is room and above them where there is none.
    """
    above = width <= NARROW + 60
    longest = max((len(row.label) for row in rows), default=0) * LETTER + 14
    left = 2.0 if above else min(longest, width * 0.36)
    values = [format(row.estimate.value) for row in rows]
    # Room for four letters at least, so that panels of percentages share one scale.
    right = width - (max(4, *map(len, values)) * STRONG_LETTER + 14)
    step = 42 if above else 28
    top = (24.0 if heading else 4.0) + (16.0 if reference else 0.0)
    drawing = Drawing(width, top + step * len(rows) + (24 if axis else 4))
    bottom = top + step * len(rows)

    def x_of(value: float) -> float:
        return left + (min(max(value, low), high) - low) / ((high - low) or 1) * (right - left)

    if heading:
        drawing.text(0 if above else left, 14, heading, "strong")
    for value in ticks(low, high, 4 if above else 5) if axis else ():
        drawing.line(x_of(value), top, x_of(value), bottom, "grid")
        anchor = "start" if x_of(value) < 10 else "middle"
        drawing.text(x_of(value), bottom + 17, (tick or format)(value), "small", anchor)
    if reference:
        value, words = reference
        drawing.line(x_of(value), top - 4, x_of(value), bottom, "reference")
        near_end = x_of(value) > (left + right) / 2
        drawing.text(x_of(value), top - 8, words, "small", "end" if near_end else "start")
    for index, (row, value) in enumerate(zip(rows, values, strict=True)):
        y = top + step * index + (step - 12 if above else step / 2)
        if above:
            drawing.text(left, y - 13, fitted(row.label, width - 4))
        else:
            drawing.text(left - 10, y + 4.5, fitted(row.label, left - 10), anchor="end")
        _row_mark(drawing, row, y, x_of, value)
        drawing.text(width, y + 4.5, value, "strong", "end")
    return drawing


def _row_mark(drawing: Drawing, row: Row, y: float, x_of: Callable[[float], float], value: str) -> None:
    at = x_of(row.estimate.value or 0.0)
    title = f"{row.label}: {value}"
    if row.shape == "bar":
        zero = x_of(0.0)
        drawing.rect(min(zero, at), y - 7, abs(at - zero), 14, f"fill {row.style}", title)
    whisker = row.estimate.low is not None and row.estimate.high is not None
    if whisker:
        low, high = x_of(row.estimate.low or 0.0), x_of(row.estimate.high or 0.0)
        style = "whisker" if row.shape == "bar" else f"whisker-dot {row.style}"
        drawing.line(low, y, high, y, style)
        for end in (low, high):
            drawing.line(end, y - 4, end, y + 4, style)
    if row.shape != "bar":
        drawing.circle(at, y, 5, f"fill {row.style}", title)


def stacked_chart(
    rows: Sequence[tuple[str, Sequence[tuple[str, str, float]]]], width: float, *, format: Format
) -> Drawing:
    """Bars of parts that make a whole: rows of (label, [(part, style, share of the row)])."""
    above = width <= NARROW + 60
    longest = max((len(label) for label, _ in rows), default=0) * STRONG_LETTER + 16
    left = 0.0 if above else min(longest, width * 0.3)
    step = 56 if above else 44
    drawing = Drawing(width, step * len(rows))
    for index, (label, parts) in enumerate(rows):
        y = step * index + (20 if above else 5)
        if above:
            drawing.text(0, y - 6, fitted(label, width), "strong")
        else:
            drawing.text(left - 12, y + 22, fitted(label, left - 12), "strong", "end")
        total = sum(share for _, _, share in parts) or 1.0
        x = left
        for name, style, share in parts:
            wide = share / total * (width - left)
            # A hairline of background keeps neighbours apart without colour.
            drawing.rect(x, y, max(0.0, wide - 1.5), 34, f"fill {style}", f"{label}: {name} {format(share)}")
            words = format(share)
            if wide > len(words) * STRONG_LETTER + 8:
                drawing.text(x + wide / 2, y + 22, words, f"on-{style} strong", "middle")
            x += wide
    return drawing


def line_chart(
    width: float,
    x: Axis,
    y: Axis,
    *,
    series: Sequence[Series] = (),
    marks: Sequence[Mark] = (),
    levels: Sequence[tuple[Estimate, str]] = (),
    diagonal: bool = False,
    height: float = 0.0,
) -> Drawing:
    """Lines with bands, horizontal levels with bands, and marks, over two axes."""
    height = height or (280 if width <= NARROW + 60 else 340)
    left, top, right, bottom = 48.0, 26.0, width - 20, height - 42
    drawing = Drawing(width, height)

    def at(a: float, b: float) -> tuple[float, float]:
        across = (min(max(a, x.low), x.high) - x.low) / ((x.high - x.low) or 1)
        up = (min(max(b, y.low), y.high) - y.low) / ((y.high - y.low) or 1)
        return left + across * (right - left), bottom - up * (bottom - top)

    for tick in y.ticks():
        drawing.line(left, at(0, tick)[1], right, at(0, tick)[1], "grid")
        drawing.text(left - 6, at(0, tick)[1] + 4, y.format(tick), "small", "end")
    for tick in x.ticks():
        drawing.text(at(tick, 0)[0], bottom + 18, x.format(tick), "small", "middle")
    drawing.line(left, bottom, right, bottom, "axis")
    drawing.text(0, 12, y.label, "small")
    drawing.text(right, height - 5, x.label, "small", "end")
    if diagonal:
        drawing.path([at(x.low, y.low), at(x.high, y.high)], "reference")
    for estimate, style in levels:
        if estimate.low is not None and estimate.high is not None:
            (_, lower), (_, upper) = at(x.low, estimate.low), at(x.low, estimate.high)
            drawing.rect(left, upper, right - left, lower - upper, f"band {style}")
        level = at(x.low, estimate.value or 0.0)[1]
        drawing.line(left, level, right, level, f"stroke {style}")
    for line in series:
        band = [
            (a, low, high)
            for a, low, high in zip(line.xs, line.low, line.high, strict=False)
            if low is not None and high is not None
        ]
        outline = [at(a, high) for a, _, high in band] + [at(a, low) for a, low, _ in reversed(band)]
        drawing.path(outline, f"band {line.style}", closed=True)
    for line in series:
        drawing.path([at(a, b) for a, b in zip(line.xs, line.ys, strict=False)], f"stroke {line.style}")
    for mark in marks:
        px, py = at(mark.x, mark.y)
        if mark.low is not None and mark.high is not None:
            drawing.line(
                px, at(mark.x, mark.low)[1], px, at(mark.x, mark.high)[1], f"whisker-dot {mark.style}"
            )
        shape = drawing.circle if mark.shape == "dot" else drawing.diamond
        shape(px, py, mark.radius, f"fill {mark.style}", mark.label)
    return drawing
