"""The page of asking in several ways: accuracy by way, size, tokens, and what went wrong."""

from __future__ import annotations

from typing import Any

from candor.report import outcome_figures, think_figures, think_tables, wording
from candor.report.evidence import Evidence, estimate_of, number_of
from candor.report.provenance import provenance, provenance_tables
from candor.report.template import rendered
from candor.report.tiles import Tile, tile

SECTIONS = (
    ("ways", "Ways of asking"),
    ("sizes", "By size"),
    ("budget", "Tokens to think"),
    ("decimals", "Numbers or versions"),
    ("tokens", "Tokens and numbers"),
    ("failures", "What went wrong"),
    ("reproduce", "Reproduce"),
)
_SHOWN = 24  # failures on the page
_LONGEST = 600  # letters of a completion


def render_think_page(evidence: Evidence) -> str:
    """The page as HTML text."""
    return rendered("think.html.jinja", context(evidence))


def context(evidence: Evidence) -> dict[str, Any]:
    """Everything that the template shows, finished: figures, tables and sentences."""
    return {
        **provenance(evidence),
        "sections": SECTIONS,
        "headline": headline(evidence),
        "lead": lead(evidence),
        "tiles": tiles(evidence),
        "figures": {
            "ways": think_figures.ways_figure(evidence),
            "sizes": think_figures.sizes_figures(evidence),
            "budgets": think_figures.budget_figures(evidence),
            "timings": outcome_figures.timings(evidence),
        },
        "tables": {
            "ways": think_tables.ways_table(evidence),
            "against": think_tables.against_table(evidence),
            "explanations": think_tables.explanations_table(evidence),
            "kinds": think_tables.kinds_table(evidence),
            "budgets": think_tables.budgets_table(evidence),
            "decimals": think_tables.decimals_table(evidence),
            "tokenisation": think_tables.tokenisation_table(evidence),
            **provenance_tables(evidence),
        },
        "failures": _failures(evidence),
    }


def headline(evidence: Evidence) -> str:
    """The result in one sentence: what the way does that moves most from direct."""
    moved = [
        (found, row)
        for row in evidence.rows("against_direct")
        if (found := estimate_of(row.get("difference"))) and found.value is not None
    ]
    sure = [
        (found, row)
        for found, row in moved
        if found.low is not None and found.high is not None and (found.low > 0 or found.high < 0)
    ]
    if sure:
        found, row = max(sure, key=lambda pair: abs(pair[0].value or 0))
        size = f"{abs(found.value or 0) * 100:.1f} points {'more' if (found.value or 0) > 0 else 'fewer'}"
        asked = f"Asked by “{row.get('way')}” instead of directly"
        return f"{asked}, the same weights get {size} of {row.get('task')}."
    if moved:
        return "No way of asking differs from asking directly by more than chance."
    return (
        "Right answers by way of asking." if think_tables.whole(evidence) else "This run has no results yet."
    )


def lead(evidence: Evidence) -> str:
    """What was asked."""
    rows = think_tables.whole(evidence)
    if not rows:
        return ""
    asked = {str(row.get("task")): estimate_of(row.get("right")) for row in rows}
    count = sum(found.n for found in asked.values() if found)
    ways = len({row.get("way") for row in rows})
    shown = number_of(evidence.at("shown")) or 0
    return (
        f"{count:,} problems of {len(asked)} tasks, each asked in {ways} ways with {shown:.0f} solved ones "
        "before it. Answers are checked exactly; one that could not be read is wrong."
    )


def tiles(evidence: Evidence) -> list[Tile]:
    """The best way of each task, beside direct."""
    found = []
    whole = think_tables.whole(evidence)
    for task in dict.fromkeys(str(row.get("task")) for row in whole):
        rows = [(estimate_of(row.get("right")), row) for row in whole if str(row.get("task")) == task]
        known = [(estimate, row) for estimate, row in rows if estimate and estimate.value is not None]
        if not known:
            continue
        best, row = max(known, key=lambda pair: pair[0].value or 0)
        direct = next((one for one, other in known if other.get("way") == "direct"), None)
        before = direct if row.get("way") != "direct" else None
        detail = f"right by {row.get('way')}, the best way" + (", beside direct" if before else "")
        found.append(tile(wording.task_name(task), best, detail, before=before))
    return found[:4]


def _failures(evidence: Evidence) -> list[dict[str, str]]:
    rows = evidence.rows("failures")
    found = []
    for row in rows[:: max(1, -(-len(rows) // _SHOWN))]:
        parts = row.get("parts")
        said = str(row.get("completion") or "").strip()
        found.append(
            {
                "task": f"{wording.task_name(str(row.get('task')))}, {row.get('way')}",
                "question": str(row.get("question") or ""),
                "parts": ", ".join(map(str, parts)) if isinstance(parts, list) else "",
                "answer": str(row.get("answer") or ""),
                "read": "" if row.get("read") is None else str(row.get("read")),
                "completion": said[:_LONGEST] + ("…" if len(said) > _LONGEST else ""),
            }
        )
    return found
