"""The page of a model that was served raw: what the openai client got, beside the engine in process."""

from __future__ import annotations

import math

from candor.report import outcome_figures, wording
from candor.report.charts import Axis, Mark, Series, line_chart
from candor.report.evidence import Evidence, number_of
from candor.report.plotted import Figure
from candor.report.provenance import provenance, provenance_tables
from candor.report.svg import figure, legend
from candor.report.template import rendered

SECTIONS = (
    ("agree", "The client beside the engine"),
    ("completions", "Raw completions"),
    ("reproduce", "Reproduce"),
)


def render_served_page(evidence: Evidence) -> str:
    """The page as HTML text."""
    context = {
        **provenance(evidence),
        "sections": SECTIONS,
        "kicker": "Candor serving report",
        "draw": "prompt",
        "headline": headline(evidence),
        "lead": "",
        "parts": [
            ("agree", "The client beside the engine", [agreement(evidence)], [], []),
            ("completions", "Raw completions", [], [], completions(evidence)),
        ],
        "timings": outcome_figures.timings(evidence),
        "made": list(provenance_tables(evidence).values()),
    }
    return rendered("short.html.jinja", context)


def headline(evidence: Evidence) -> str:
    """The result in one sentence."""
    same, gap = evidence.estimate("same"), number_of(evidence.at("largest_difference"))
    if same is None:
        return "This run has no results yet."
    words = f"{wording.shown(same)} of {same.n} completions are those of the engine in process"
    return f"{words}; log-probabilities differ by {gap:.1e} at most." if gap is not None else f"{words}."


def agreement(evidence: Evidence) -> Figure | None:
    """Probabilities of the first completion's tokens, by the client and by the engine."""
    rows = evidence.rows("completions")
    if not rows:
        return None
    first = rows[0]
    client, engine = (_probabilities(first.get(key)) for key in ("logprobs", "engine_logprobs"))
    if len(client) < 2:
        return None
    places = list(range(1, len(client) + 1))
    tokens = [str(token) for token in first.get("tokens") or [""] * len(client)]
    marks = [
        Mark(f"{token!r}: {value:.3f}", place, value, "s1", "dot", 3.5)
        for place, token, value in zip(places, tokens, engine, strict=False)
    ]
    x, y = (
        Axis("token", 1, len(client), wording.plain, counts=True),
        Axis("probability", 0.0, 1.0, wording.plain),
    )
    plot = figure(
        "served",
        "How likely the model finds each of its own tokens",
        "; ".join(f"{token!r} {value:.3f}" for token, value in zip(tokens, client, strict=False)),
        lambda width: line_chart(
            width, x, y, series=[Series("openai client", places, client, "s0")], marks=marks
        ),
    )
    entries = [
        ("openai client, over HTTP", "stroke s0", "line"),
        ("the engine, in process", "fill s1", "dot"),
    ]
    return Figure(plot, f"The likeliest completion of {first.get('prompt')!r}.", legend(entries))


def completions(evidence: Evidence) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each prompt with its likeliest completion and a drawn one."""
    return [
        (
            str(row.get("prompt", "")),
            [("Likeliest", str(row.get("text", ""))), ("Drawn", str(row.get("drawn", "")))],
        )
        for row in evidence.rows("completions")
    ]


def _probabilities(values: object) -> list[float]:
    if not isinstance(values, list):
        return []
    return [math.exp(found) for value in values if (found := number_of(value)) is not None]
