"""The page of a chat tuning: what it learned, what it remembers of a conversation, what it replies."""

from __future__ import annotations

import math
from typing import Any

from candor.report import chat_tone, outcome_figures, wording
from candor.report.charts import Axis, Row, Series, line_chart
from candor.report.evidence import Evidence, estimate_of, number_of
from candor.report.plotted import Figure, rows_figure
from candor.report.provenance import provenance, provenance_tables
from candor.report.svg import figure, legend
from candor.report.tables import Cell, Table
from candor.report.template import rendered
from candor.report.tiles import Tile, change_tile

SECTIONS = (
    ("learned", "What it learned"),
    ("threads", "Earlier turns"),
    ("tone", "How sure it sounds"),
    ("replies", "What it replies"),
    ("data", "The conversations"),
    ("reproduce", "Reproduce"),
)
# Short: in a wide plot a label has room for about 35 letters, ", before" included.
_CATEGORIES = {
    "threads": "All that need earlier turns",
    "recall": "Facts about the user",
    "reference": "“And the other one?”",
    "correction": "“No, I meant …”",
    "consistency": "What it said itself",
    "constraint": "An opening instruction",
    "single": "Control: all in one turn",
}
_MEASURES = {"preferred": "Right reply likelier", "written": "Right reply written"}


def render_chat_page(evidence: Evidence) -> str:
    """The page as HTML text."""
    return rendered("chat.html.jinja", context(evidence))


def context(evidence: Evidence) -> dict[str, Any]:
    """Everything that the template shows, finished: figures, tables and sentences."""
    return {
        **provenance(evidence),
        "sections": SECTIONS,
        "headline": headline(evidence),
        "lead": lead(evidence),
        "tiles": tiles(evidence),
        "figures": {
            "learning": learning(evidence),
            "preferred": thread_figure(evidence, "preferred"),
            "written": thread_figure(evidence, "written"),
            "tone": chat_tone.kinds_figure(evidence),
            "doubt": chat_tone.doubt_figure(evidence),
            "timings": outcome_figures.timings(evidence),
        },
        "tables": {
            "loss": _loss_table(evidence),
            "threads": _threads_table(evidence),
            "tone": chat_tone.tone_table(evidence),
            "mix": _mix_table(evidence),
            "left_out": _left_out_table(evidence),
            **provenance_tables(evidence),
        },
        "replies": replies(evidence),
    }


def headline(evidence: Evidence) -> str:
    """The result in one sentence."""
    before, after = (evidence.estimate("loss", moment) for moment in ("before", "after"))
    if not before or not after or before.value is None or after.value is None:
        return "This run has no results yet."
    return (
        f"A token of a held-out reply costs {after.value:.2f} nats, where it cost {before.value:.2f} before."
    )


def lead(evidence: Evidence) -> str:
    """What was learned from."""
    learned, tokens = (number_of(evidence.at("tune", key)) for key in ("supervised_tokens", "tokens"))
    count = number_of(evidence.at("mix", "split", "train"))
    if not learned or not tokens or not count:
        return ""
    return (
        f"{count:,.0f} conversations of {tokens:,.0f} tokens, of which {learned:,.0f} are the assistant’s "
        "and were learned; measured on conversations that were held out."
    )


def tiles(evidence: Evidence) -> list[Tile]:
    """The numbers that a user looks at first."""
    found = []
    before, after = (evidence.estimate("loss", moment) for moment in ("before", "after"))
    change = evidence.estimate("loss", "change")
    if before and after and change:
        found.append(
            change_tile(
                "Nats a token",
                (before, after, change),
                "of held-out replies; changed by {change}",
                "score",
                "change",
            )
        )
    for measure, label in _MEASURES.items():
        was, now, moved = (
            evidence.estimate("threads", moment, "threads", measure)
            for moment in ("before", "after", "change")
        )
        if was and now and moved:
            detail = "where earlier turns are needed; changed by {change}"
            found.append(change_tile(label, (was, now, moved), detail))
    if tone := chat_tone.tile(evidence):
        found.append(tone)
    return found


def learning(evidence: Evidence) -> Figure | None:
    """Loss on held-out replies while training."""
    points: dict[float, float] = {}
    for event in evidence.events:
        loss, step = number_of(event.get("validation_loss")), number_of(event.get("step"))
        if event.get("event") == "validation" and loss is not None and step is not None:
            points[step] = loss  # a killed run measured some again
    if len(points) < 2:
        return None
    xs, ys = zip(*sorted(points.items()), strict=True)
    x = Axis("updates", 0.0, max(xs), wording.plain, counts=True)
    y = Axis("nats a token", 0.0, math.ceil(max(ys)), wording.plain)
    words = "; ".join(f"{step:.0f} updates: {loss:.3f}" for step, loss in zip(xs, ys, strict=True))
    plot = figure(
        "learning",
        "Loss on held-out replies while the model learns",
        words,
        lambda width: line_chart(width, x, y, series=[Series("held out", xs, ys, "s0")]),
    )
    return Figure(plot, "Mean over the assistant’s tokens, about every tenth of the run.")


def thread_figure(evidence: Evidence, measure: str) -> Figure | None:
    """A measure of the thread cases by category, before and after."""
    rows = []
    for category, label in _CATEGORIES.items():
        for moment, style in (("before", "s1"), ("after", "s0")):
            estimate = evidence.estimate("threads", moment, category, measure)
            if estimate:
                rows.append(
                    Row(f"{label}, {moment}", estimate, style, "bar" if measure == "written" else "dot")
                )
    if not rows:
        return None
    chance = (0.5, "chance") if measure == "preferred" else None
    plot = rows_figure(f"threads-{measure}", f"{_MEASURES[measure]}, by kind of case", rows, reference=chance)
    caption = (
        "The right reply is likelier than one that names the other value; both were mentioned, in pairs of "
        "cases in which they change places, so that liking one value more gains nothing."
        if measure == "preferred"
        else "The likeliest reply of at most 32 tokens keeps the case’s rule: it names the right value and "
        "not the other."
    )
    return Figure(plot, caption, legend([("before", "fill s1", "box"), ("after", "fill s0", "box")]))


def _loss_table(evidence: Evidence) -> Table | None:
    rows = []
    for row in [{"source": "all", **evidence.table("loss")}, *evidence.rows("loss_by_source")]:
        kinds = {"before": "score", "after": "score", "change": "change"}
        cells = [_cell(row.get(key), kind) for key, kind in kinds.items()]
        if any(cell.text != wording.DASH for cell in cells):
            rows.append([Cell(str(row.get("source"))), *cells])
    caption = "Nats that a token of a held-out reply costs; the change is paired by conversation"
    return Table(caption, ["Source", "Before", "After", "Change"], rows) if rows else None


def _threads_table(evidence: Evidence) -> Table | None:
    rows = []
    for category, label in _CATEGORIES.items():
        for measure, words in _MEASURES.items():
            kinds = {"before": "percent", "after": "percent", "change": "points"}
            found = {moment: evidence.at("threads", moment, category, measure) for moment in kinds}
            if any(found.values()):
                cells = (_cell(value, kinds[moment]) for moment, value in found.items())
                rows.append([Cell(f"{label}: {words.lower()}"), *cells])
    caption = "What depends on earlier turns; intervals go by template"
    return Table(caption, ["Cases", "Before", "After", "Change, points"], rows) if rows else None


def _mix_table(evidence: Evidence) -> Table | None:
    columns = {
        "conversations": "Conversations",
        "assistant_turns": "Assistant turns, mean",
        "tokens": "Tokens",
        "supervised": "Learned tokens",
        "split": "Cut into pieces",
        "lost_turns": "Replies too long alone",
        "too_long": "Left out as too long",
        "duplicates": "Repeats of another",
    }
    rows = [
        [Cell(str(row.get("name"))), *(Cell(wording.plain(number_of(row.get(key)))) for key in columns)]
        for row in evidence.rows("mix", "sources")
    ]
    return Table("Where conversations came from", ["Source", *columns.values()], rows) if rows else None


def _left_out_table(evidence: Evidence) -> Table | None:
    rows = [
        [Cell(str(reason)), Cell(wording.count(number_of(found.get("count"))))]
        for reason, found in evidence.table("mix", "problems").items()
        if isinstance(found, dict)
    ]
    return Table("Rows that are no conversation, left out", ["Reason", "Rows"], rows) if rows else None


def replies(evidence: Evidence) -> list[dict[str, str]]:
    """First messages with the likeliest reply before and after."""
    both = [evidence.rows("replies", moment) for moment in ("before", "after")]
    return [
        {
            "prompt": str(after.get("prompt", "")),
            "before": str(before.get("greedy", "")).strip(),
            "after": str(after.get("greedy", "")).strip(),
            "drawn": str(after.get("drawn", "")).strip(),
        }
        for before, after in zip(*both, strict=False)
    ]


def _cell(value: object, kind: str = "percent") -> Cell:
    estimate = estimate_of(value)
    return Cell(wording.shown(estimate, kind), wording.interval(estimate, kind), wording.sized(estimate))
