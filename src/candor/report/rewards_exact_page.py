"""The page of an exact laboratory: one plot, what is to be seen in it, and every table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from candor.core.statistics import Estimate
from candor.report import wording
from candor.report.charts import Axis, Mark, Row, Series, line_chart
from candor.report.plotted import Figure, rows_figure
from candor.report.svg import figure, legend
from candor.report.tables import Cell, Table
from candor.report.template import rendered

SECTIONS = (("seen", "What is to be seen"), ("numbers", "Numbers"), ("reproduce", "Reproduce"))
_NAMES = {"bandit": "Three arms", "tomato": "Tomato garden", "enumerated": "4,096 completions"}

Tables = Sequence[tuple[str, list[str], list[list[str]]]]


def render_rewards_exact_page(
    result: dict[str, Any], headline: str, sentences: list[str], tables: Tables, command: str
) -> str:
    """The page as HTML text.

    Args:
        result: what the laboratory found; `lab` names it.
        headline: the result in a sentence.
        sentences: what is to be seen.
        tables: title, columns and rows of text.
        command: makes it again.
    """
    lab = result["lab"]
    shown = [
        Table(title, columns, [[Cell(row[0]), *map(_cell, row[1:])] for row in rows])
        for title, columns, rows in tables
    ]
    context = {
        "sections": SECTIONS,
        "model": _NAMES[lab],
        "created": "",
        "run": "",
        "headline": headline,
        "lead": "",
        "plot": exact_figure(result),
        "sentences": sentences,
        "tables": shown,
        "command": command,
    }
    return rendered("rewards_exact.html.jinja", context)


def _cell(text: str) -> Cell:
    """A number, and apart from it the interval in brackets behind it, so that narrow columns break there."""
    number, _, interval = text.partition(" (")
    return Cell(number, f"({interval}" if interval else "")


def exact_figure(result: dict[str, Any]) -> Figure:
    """The plot of what a laboratory found; `lab` in it names which."""
    return _FIGURES[result["lab"]](result)


def _bandit(result: dict[str, Any]) -> Figure:
    """True against proxy reward, from the reference on, along λ and along β."""
    arms = result["three_arms"]
    series, entries = [], []
    for place, (key, label) in enumerate(
        (("chi2", "√χ², weaker and weaker"), ("kl", "KL, weaker and weaker"))
    ):
        points = arms["curves"][key]
        series.append(Series(label, [p["proxy"] for p in points], [p["true"] for p in points], f"s{place}"))
        entries.append((label, f"stroke s{place}", "line"))
    found = arms["methods"]
    marks = [
        Mark(f"{label}: {found[name]['true']:.3f}", found[name]["proxy"], found[name]["true"], style, shape)
        for name, label, style, shape in (
            ("reference", "reference", "s4", "dot"),
            ("chi2", "√χ² at the theory’s λ", "s0", "diamond"),
            ("none", "no penalty", "s3", "diamond"),
        )
    ]
    entries += [
        ("reference", "fill s4", "dot"),
        ("√χ² at the theory’s λ", "fill s0", "diamond"),
        ("no penalty", "fill s3", "diamond"),
    ]
    x, y = Axis("proxy reward", 0.5, 3.0, wording.plain), Axis("true reward", -1.0, 1.0, wording.plain)
    level = [(Estimate(found["reference"]["true"], None, None, 0), "s4")]
    words = "; ".join(mark.label for mark in marks)
    plot = figure(
        "bandit",
        "True reward as the proxy is optimised",
        words,
        lambda width: line_chart(width, x, y, series=series, marks=marks, levels=level),
    )
    caption = "Optima for every weight, strong on the left; what lies below the reference’s level is hacked."
    return Figure(plot, caption, legend(entries))


def _tomato(result: dict[str, Any]) -> Figure:
    """True reward of an episode by method."""
    labels = {
        "reference": ("reference", "s4"),
        "none": ("no penalty", "s3"),
        "chi2, theory": ("√χ² of occupancies, theory’s λ", "s0"),
        "max-min, theory": ("max-min, theory", "s0"),
        "chi2, hindsight": ("√χ² of occupancies, best λ", "s2"),
        "kl, hindsight": ("KL of occupancies, best β", "s2"),
        "action chi2, theory": ("√χ² of actions, theory’s λ", "s1"),
        "action chi2, hindsight": ("√χ² of actions, best λ", "s2"),
        "action kl, hindsight": ("KL of actions, best β", "s2"),
        "best possible": ("best possible", "s5"),
    }
    methods = result["methods"]
    rows = [
        Row(label, Estimate(methods[name]["true_return"], None, None, 0), style)
        for name, (label, style) in labels.items()
    ]
    reference = methods["reference"]["true_return"]
    plot = rows_figure(
        "tomato",
        "True reward of an episode",
        rows,
        high=10.0,
        kind="plain",
        reference=(reference, f"reference {reference:.2f}"),
    )
    entries = [
        ("weight by theory, occupancies", "fill s0", "box"),
        ("weight by theory, actions", "fill s1", "box"),
        ("weight chosen by true reward", "fill s2", "box"),
    ]
    return Figure(plot, "Every bar is an exact optimum; left of the line is hacked.", legend(entries))


def _enumerated(result: dict[str, Any]) -> Figure:
    """True reward of each arm, step by step, computed exactly."""
    series, entries, words = [], [], []
    for place, (name, history) in enumerate(result["runs"].items()):
        xs, ys = [row["step"] for row in history], [row["true"] for row in history]
        label = "no penalty" if name == "none" else str(name).replace("chi2", "√χ²").replace("kl,", "KL,")
        series.append(Series(label, xs, ys, f"s{place}"))
        entries.append((label, f"stroke s{place}", "line"))
        words.append(f"{label}: {ys[-1]:.2f} at step {xs[-1]}")
    values = [y for line in series for y in line.ys]
    x = Axis("steps", 0, max(series[0].xs), wording.plain, counts=True)
    y = Axis("true reward", math.floor(min(values)), math.ceil(max(values)), wording.plain)
    level = [(Estimate(result["facts"]["reference_true"], None, None, 0), "s7")]
    entries.append(("reference", "stroke s7", "line"))
    plot = figure(
        "enumerated",
        "True reward during training",
        "; ".join(words),
        lambda width: line_chart(width, x, y, series=series, levels=level),
    )
    return Figure(plot, "Training samples; these numbers are sums over all completions.", legend(entries))


_FIGURES: dict[str, Callable[[dict[str, Any]], Figure]] = {
    "bandit": _bandit,
    "tomato": _tomato,
    "enumerated": _enumerated,
}
