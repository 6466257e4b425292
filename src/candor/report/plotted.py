"""A drawn plot with its caption, and the row plots that most figures are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from markupsafe import Markup

from candor.core.statistics import Estimate
from candor.report import wording
from candor.report.charts import Row, rows_chart
from candor.report.evidence import number_of
from candor.report.svg import figure


@dataclass(frozen=True)
class Figure:
    """A plot, the sentence under it, and its legend if it needs one."""

    plot: Markup
    caption: str
    legend: Markup = field(default_factory=Markup)


def rows_figure(
    name: str,
    title: str,
    rows: Sequence[Row],
    *,
    low: float = 0.0,
    high: float = 1.0,
    kind: str = "percent",
    heading: str = "",
    axis: str = "",
    reference: tuple[float, str] | None = None,
) -> Markup:
    """Rows with intervals as an accessible figure whose description repeats every number.

    `axis` "tenths" writes the axis with one digit while the values keep theirs; "none" leaves it out.
    """
    form = wording.FORMATS[kind]
    description = "; ".join(f"{row.label}: {wording.full(row.estimate, kind)}" for row in rows)
    draw = partial(rows_chart, rows, low=low, high=high, format=form, heading=heading, reference=reference)
    if axis == "none":
        draw = partial(draw, axis=False)
    elif axis == "tenths":
        draw = partial(draw, tick=lambda value: f"{value:.1f}")
    return figure(name, title, description, lambda width: draw(width=width))


def count_figure(name: str, title: str, counts: list[tuple[str, float]], kind: str = "count") -> Markup:
    """Plain numbers as bars."""
    rows = [Row(wording.humanised(label), Estimate(value, None, None, 0), "s0") for label, value in counts]
    return rows_figure(
        name, title, rows, high=max(value for _, value in counts) or 1.0, kind=kind, axis="none"
    )


def counts_of(found: dict[str, Any]) -> list[tuple[str, float]]:
    """The numbers of an object in their order, empty if there are none but zeros."""
    counts = [(name, value) for name, raw in found.items() if (value := number_of(raw)) is not None]
    return counts if any(value for _, value in counts) else []


def bounds(estimate: Estimate) -> tuple[float, float]:
    """The interval's ends, or the value twice where it has none."""
    value = estimate.value or 0.0
    return (
        value if estimate.low is None else estimate.low,
        value if estimate.high is None else estimate.high,
    )
