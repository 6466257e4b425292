"""The plots of a base model's report."""

from __future__ import annotations

import math

from candor.core.statistics import Estimate
from candor.report import wording
from candor.report.charts import Axis, Row, Series, line_chart
from candor.report.evidence import Evidence, estimate_of, number_of
from candor.report.plotted import Figure, bounds, rows_figure
from candor.report.svg import figure, legend


def compression(evidence: Evidence) -> Figure | None:
    """Bits per byte of the model and of programs."""
    rows = []
    for row in evidence.rows("compression"):
        estimate = estimate_of(row.get("bits_per_byte"))
        if estimate:
            name = str(row.get("name", ""))
            rows.append(Row(name, estimate, "s0" if name == "this model" else "s1"))
    if not rows:
        return None
    rows.sort(key=lambda row: row.estimate.value or 0.0)
    high = max(bounds(row.estimate)[1] for row in rows)
    plot = rows_figure(
        "compression", "Bits per byte of held-out text", rows, high=high, kind="score", axis="none"
    )
    caption = (
        "Bits that a byte of held-out text costs; less is better. Of models only the code counts, as of "
        "programs: who decodes has the weights."
    )
    return Figure(plot, caption)


def learning(evidence: Evidence) -> Figure | None:
    """Bits per byte of held-out text while training, beside what xz needs."""
    batch = number_of(evidence.at("pretrain", "batch_tokens")) or 1.0
    points = []
    for event in evidence.events:
        bits = number_of(event.get("bits_per_byte"))
        step = number_of(event.get("step"))
        if event.get("event") == "validation" and bits is not None and step is not None:
            points.append((step * batch, bits))
    points = sorted(dict(points).items())  # a killed run measured some again
    if len(points) < 2:
        return None
    xs, ys = zip(*points, strict=True)
    xz = next(
        (
            number_of(row.get("bits_per_byte"))
            for row in evidence.rows("compression")
            if row.get("name") == "xz -9e"
        ),
        None,
    )
    unit, name = (1e6, "million") if xs[-1] >= 1e6 else (1e3, "thousand")
    x = Axis(f"tokens read, {name}", 0.0, xs[-1] / unit, wording.plain)
    y = Axis("bits per byte", 0.0, math.ceil(max([*ys, xz or 0.0])), wording.plain)
    series = [Series("this model", [value / unit for value in xs], ys, "s0")]
    levels = [] if xz is None else [(Estimate(xz, None, None, 0), "s1")]
    words = "; ".join(f"{value / unit:.3g} {name} tokens: {bits:.3f}" for value, bits in points)
    plot = figure(
        "learning",
        "Bits per byte of held-out text while the model learns",
        words,
        lambda width: line_chart(width, x, y, series=series, levels=levels),
    )
    entries = [("this model", "stroke s0", "line")]
    if xz is not None:
        entries.append((f"xz -9e ({xz:.3f})", "stroke s1", "line"))
    return Figure(plot, "Measured on the same held-out text about every tenth of the run.", legend(entries))


def passages(evidence: Evidence) -> Figure | None:
    """Passages recited, by how often they stand in the corpus."""
    rows, words = _by_times(evidence, "passages", "exact"), number_of(evidence.at("recall", "words"))
    if not rows or words is None:
        return None
    plot = rows_figure("passages", "Passages recited word for word, by repetitions", rows)
    caption = (
        f"The first {words:.0f} words of a passage are given; it counts if as many follow exactly, "
        "greedily. Which passages are repeated was drawn by lot; those of “never” were held out."
    )
    return Figure(plot, caption)


def facts(evidence: Evidence) -> Figure | None:
    """Facts answered, by how many documents state them."""
    rows = _by_times(evidence, "facts", "right")
    if not rows:
        return None
    plot = rows_figure("facts", "Facts answered, by how many documents state them", rows)
    caption = (
        "Asked as the corpus asks; right if the likeliest answer is an accepted one. None states "
        "those of “never”: that is what guessing gets."
    )
    return Figure(plot, caption)


def choices(evidence: Evidence) -> Figure | None:
    """Facts whose right answer was likeliest among ten."""
    rows = _by_times(evidence, "facts", "chosen")
    if not rows:
        return None
    plot = rows_figure(
        "choices", "The right answer is the likeliest of ten", rows, reference=(0.1, "chance"), heading=""
    )
    return Figure(plot, "The same facts, with the answer ranked among nine that other entries have.")


def _by_times(evidence: Evidence, part: str, key: str) -> list[Row]:
    rows = []
    for row in evidence.rows("recall", part):
        estimate, times = estimate_of(row.get(key)), number_of(row.get("times"))
        if estimate and times is not None:
            label = "never" if times == 0 else "once" if times == 1 else f"{times:,.0f} times"
            rows.append(Row(f"{label} (n = {estimate.n})", estimate, "s0"))
    return rows
