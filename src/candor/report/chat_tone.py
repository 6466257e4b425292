"""How sure a chat model sounds, before and after tuning: figures, a table and a tile."""

from __future__ import annotations

from candor.report import wording
from candor.report.charts import Row
from candor.report.evidence import Evidence, estimate_of, number_of
from candor.report.plotted import Figure, rows_figure
from candor.report.svg import legend
from candor.report.tables import Cell, Table
from candor.report.tiles import Tile, change_tile

_KINDS = {
    "refused": "Says it doesn’t know",
    "hedged": "Answers with a hedge",
    "boosted": "Stresses that it is sure",
    "bare": "Simply says so",
}
_MEASURES = {
    **_KINDS,
    "unsure": "Doesn’t know, or hedges",
    "sure_and_wrong": "Wrong, and no doubt said",
}
_LEVELS = {
    "all": "All questions",
    "easy": "Known to most",
    "hard": "Known to few",
    "invented": "About invented things",
    "private": "Only the asker can know",
}
_TRUTHS = {"right_asserted": "Right answers", "wrong_asserted": "Wrong answers"}
# With fewer right or wrong answers than this, nothing is said about their difference.
FEW = 5
_STYLES = (("before", "s1"), ("after", "s0"))


def tile(evidence: Evidence) -> Tile | None:
    """Confident nonsense, in one number."""
    was, now, moved = (
        evidence.estimate("tone", moment, "all", "sure_and_wrong") for moment in ("before", "after", "change")
    )
    if not (was and now and moved):
        return None
    detail = "of replies to the questions below; changed by {change}"
    return change_tile("Wrong, and no doubt said", (was, now, moved), detail)


def kinds_figure(evidence: Evidence) -> Figure | None:
    """Share of each kind of reply, before and after."""
    rows = [
        Row(f"{label}, {moment}", estimate, style)
        for kind, label in _KINDS.items()
        for moment, style in _STYLES
        if (estimate := evidence.estimate("tone", moment, "all", kind))
    ]
    caption = (
        "Greedy replies of at most 32 tokens. A reply is of the first kind that fits; hedges and boosters "
        "are found by a list of phrases."
    )
    return _figure("tone-kinds", "How replies sound", rows, caption)


def doubt_figure(evidence: Evidence) -> Figure | None:
    """How often no doubt is said of right and of wrong answers, before and after."""
    rows = [
        Row(f"{label}, {moment}", estimate, style, "dot")
        for name, label in _TRUTHS.items()
        for moment, style in _STYLES
        if (estimate := estimate_of(evidence.at("tone", "truth", moment, name)))
    ]
    gap = estimate_of(evidence.at("tone", "truth", "after", "difference"))
    counts = [number_of(evidence.at("tone", "truth", "after", name, "n")) or 0 for name in _TRUTHS]
    caption = (
        "Share of the answers given (refusals left out) in which no doubt is said. Where right and wrong are "
        "alike, sounding sure means nothing."
    )
    if min(counts) < FEW:
        caption += " After tuning there are too few of one of them to compare."
    elif gap and gap.value is not None:
        between = wording.interval(gap, "points")
        caption += f" After: right minus wrong {wording.shown(gap, 'points')} points"
        caption += f" ({between})." if between else "."
    return _figure("tone-truth", "Answers given without any doubt", rows, caption)


def tone_table(evidence: Evidence) -> Table | None:
    """Every share, by what is asked."""
    rows = []
    for level, asked in _LEVELS.items():
        for measure, label in _MEASURES.items():
            kinds = {"before": "percent", "after": "percent", "change": "points"}
            found = {moment: evidence.estimate("tone", moment, level, measure) for moment in kinds}
            if any(found.values()):
                cells = [
                    Cell(wording.shown(e, kinds[m]), wording.interval(e, kinds[m]), wording.sized(e))
                    for m, e in found.items()
                ]
                rows.append([Cell(f"{asked}: {label[:1].lower()}{label[1:]}"), *cells])
    caption = "How sure replies sound; the change is paired by question"
    return Table(caption, ["Replies", "Before", "After", "Change, points"], rows) if rows else None


def _figure(name: str, title: str, rows: list[Row], caption: str) -> Figure | None:
    if not rows:
        return None
    plot = rows_figure(name, title, rows)
    return Figure(plot, caption, legend([("before", "fill s1", "box"), ("after", "fill s0", "box")]))
