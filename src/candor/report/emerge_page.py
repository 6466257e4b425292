"""The page of a run in which chain of thought emerges: before, after, and on the way."""

from __future__ import annotations

from candor.report import emerge_figures, outcome_figures, wording
from candor.report.evidence import Evidence
from candor.report.provenance import provenance, provenance_tables
from candor.report.tables import Cell, Table
from candor.report.template import rendered

SECTIONS = (("changed", "What changed"), ("way", "On the way"), ("reproduce", "Reproduce"))

_ROWS = {
    "accuracy": ("Right, drawn at temperature 1", "percent"),
    "greedy_accuracy": ("Right, likeliest completion", "percent"),
    "at_once": ("Right, steps forbidden", "percent"),
    "by_steps": ("Right, where there are steps", "percent"),
    "reasoned": ("Completions with steps", "percent"),
    "beyond": ("Longer than a demonstration", "percent"),
    "tokens": ("Tokens of a completion", "plain"),
}


def render_emerge_page(evidence: Evidence) -> str:
    """The page as HTML text."""
    figures = {name: getattr(emerge_figures, name)(evidence) for name in ("compared", "onset", "length")}
    context = {
        **provenance(evidence),
        "sections": SECTIONS,
        "kicker": "Candor emergence report",
        "model": evidence.text("task") or "A small model",
        "draw": "question",
        "headline": headline(evidence),
        "lead": lead(evidence),
        "parts": [
            ("changed", "What changed", [figures["compared"]], [_table(evidence)], []),
            ("way", "On the way", [figures["onset"], figures["length"]], [], []),
        ],
        "timings": outcome_figures.timings(evidence),
        "made": list(provenance_tables(evidence).values()),
    }
    return rendered("short.html.jinja", context)


def headline(evidence: Evidence) -> str:
    """The result in one sentence."""
    before, after = (evidence.estimate(moment, "accuracy") for moment in ("before", "after"))
    if not before or not after:
        return "This run has no results yet."
    steps = evidence.estimate("after", "reasoned")
    words = (
        f"Rewarded for right answers alone, {wording.shown(after)} are right, "
        f"where {wording.shown(before)} were"
    )
    return f"{words}; {wording.shown(steps)} of the completions work it out." if steps else f"{words}."


def lead(evidence: Evidence) -> str:
    """What it was shown."""
    share = evidence.estimate("demonstrations")
    if not share:
        return ""
    return (
        f"Of what the model was pretrained on, {wording.shown(share)} was worked out step by step; the rest "
        f"are bare answers. Measured on {evidence.text('questions')} questions that it never saw."
    )


def _table(evidence: Evidence) -> Table | None:
    rows = []
    for key, (label, kind) in _ROWS.items():
        found = [evidence.estimate(moment, key) for moment in ("before", "after")]
        if any(found):
            cells = (Cell(wording.shown(e, kind), wording.interval(e, kind), wording.sized(e)) for e in found)
            rows.append([Cell(label), *cells])
    return Table("Before and after, with 95% intervals", ["", "Before", "After"], rows) if rows else None
