"""The page of an RL run: what was learned, how, and what completions looked like before and after."""

from __future__ import annotations

from typing import Any

from candor.report import outcome_figures, wording
from candor.report.charts import Axis, Row, Series, line_chart
from candor.report.curves import Curve, curves
from candor.report.evidence import Evidence, estimate_of, number_of
from candor.report.plotted import Figure, rows_figure
from candor.report.provenance import provenance, provenance_tables
from candor.report.svg import figure, legend
from candor.report.tables import Cell, Table
from candor.report.template import rendered
from candor.report.tiles import Tile, change_tile

SECTIONS = (
    ("changed", "What changed"),
    ("learning", "How it learned"),
    ("completions", "Completions"),
    ("reproduce", "Reproduce"),
)
# What is compared before and after, with the format of its numbers and of their change.
_MEASURES = {
    "accuracy": ("Right, drawn as in training", "percent", "points"),
    "greedy_accuracy": ("Right, the likeliest completion", "percent", "points"),
    "reasoned": ("Longer than an answer at once", "percent", "points"),
    "tokens": ("Tokens a completion", "plain", "change"),
}
_CURVES = (
    Curve(
        "accuracy",
        "Right answers and reward",
        "share, or mean reward",
        (("accuracy", "right"), ("reward", "reward")),
        "Of each step’s completions, before its update: other problems in every step.",
    ),
    Curve(
        "length",
        "Length of completions",
        "tokens",
        (("tokens", "mean"), ("longest", "longest")),
        "Nothing rewards length unless the reward says so.",
    ),
    Curve(
        "reasoning",
        "Completions longer than an answer at once, and those cut at the limit",
        "share",
        (("reasoned", "longer"), ("truncated", "cut")),
        "Longer by a few tokens than the right answer, or as the way defines it.",
    ),
    Curve(
        "entropy",
        "Entropy of the policy",
        "nats a token",
        (("entropy", "entropy"),),
        "Estimated by the drawn tokens; near 0 nothing new is tried any more.",
    ),
    Curve(
        "variance",
        "Problems that taught nothing",
        "share",
        (("without_variance", "all completions rewarded alike"),),
        "Where all completions of a problem get the same reward, none is better than another.",
    ),
)


def render_rl_page(evidence: Evidence) -> str:
    """The page as HTML text."""
    return rendered("rl.html.jinja", context(evidence))


def context(evidence: Evidence) -> dict[str, Any]:
    """Everything that the template shows, finished: figures, tables and sentences."""
    return {
        **provenance(evidence),
        "sections": SECTIONS,
        "headline": headline(evidence),
        "lead": lead(evidence),
        "tiles": tiles(evidence),
        "curves": curves(evidence, _CURVES),
        "figures": {
            "pass": pass_figure(evidence),
            "held_out": held_out(evidence),
            "timings": outcome_figures.timings(evidence),
        },
        "tables": {
            "change": _change_table(evidence),
            **provenance_tables(evidence),
        },
        "samples": {name: _samples(evidence, name) for name in ("first", "last")},
    }


def headline(evidence: Evidence) -> str:
    """The result in one sentence."""
    before, after = (evidence.estimate(moment, "accuracy") for moment in ("before", "after"))
    if not before or not after:
        return "This run has no results yet."
    return (
        f"{wording.percent(after.value)} of completions of held-out problems are right, where "
        f"{wording.percent(before.value)} were before."
    )


def lead(evidence: Evidence) -> str:
    """What was learned from."""
    steps = number_of(evidence.at("train", "steps"))
    if not steps:
        return ""
    return (
        f"{steps:,.0f} steps of reinforcement on the task {evidence.text('task')}, asked in the way "
        f"“{evidence.text('way')}”; rewarded was: {evidence.text('reward')}."
    )


def tiles(evidence: Evidence) -> list[Tile]:
    """The numbers that a user looks at first."""
    found = []
    for key, (label, kind, moves) in _MEASURES.items():
        was, now, moved = (evidence.estimate(moment, key) for moment in ("before", "after", "change"))
        if was and now and moved:
            detail = "changed by {change}, paired by problem"
            found.append(change_tile(label, (was, now, moved), detail, kind, moves))
    return found


def held_out(evidence: Evidence) -> Figure | None:
    """Accuracy on held-out problems on the way, with intervals."""
    found: dict[float, dict[str, Any]] = {}
    for event in evidence.events:
        step = number_of(event.get("step"))
        if event.get("event") == "held out" and step is not None:
            found[step] = event
    series, words = [], []
    for place, (key, label) in enumerate((("accuracy", "drawn"), ("greedy_accuracy", "likeliest"))):
        rows = [(step, e) for step, row in sorted(found.items()) if (e := estimate_of(row.get(key)))]
        if len(rows) < 2:
            return None
        xs, estimates = [step for step, _ in rows], [e for _, e in rows]
        ys = [e.value or 0.0 for e in estimates]
        lows, highs = [e.low for e in estimates], [e.high for e in estimates]
        series.append(Series(label, xs, ys, f"s{place}", lows, highs))
        words += [f"{label} after {step:.0f} steps: {wording.full(e)}" for step, e in rows]
    x, y = (
        Axis("steps", 0.0, max(found), wording.plain, counts=True),
        Axis("right", 0.0, 1.0, wording.percent),
    )
    plot = figure(
        "held-out",
        "Right answers to held-out problems",
        "; ".join(words),
        lambda width: line_chart(width, x, y, series=series),
    )
    entries = [
        ("drawn as in training", "stroke s0", "line"),
        ("the likeliest completion", "stroke s1", "line"),
    ]
    return Figure(plot, "The same problems each time; none was learned from.", legend(entries))


def pass_figure(evidence: Evidence) -> Figure | None:
    """The chance that one of k completions is right, before and after."""
    rows = []
    for k in evidence.table("after", "pass"):
        for moment, style in (("before", "s1"), ("after", "s0")):
            estimate = evidence.estimate(moment, "pass", k)
            if estimate:
                rows.append(Row(f"pass@{k}, {moment}", estimate, style))
    if not rows:
        return None
    caption = (
        "The chance that at least one of k completions is right (the unbiased estimate of Chen et al. 2021). "
        "Where pass@1 grows and pass@k of many does not, what the model could do became likelier; where "
        "both grow, it solves problems that it did not."
    )
    plot = rows_figure("pass", "At least one of k completions is right", rows)
    return Figure(plot, caption, legend([("before", "fill s1", "box"), ("after", "fill s0", "box")]))


def _change_table(evidence: Evidence) -> Table | None:
    measures = {key: (label, kind, moves) for key, (label, kind, moves) in _MEASURES.items()}
    paths: list[tuple[tuple[str, ...], str, str, str]] = [((key,), *rest) for key, rest in measures.items()]
    paths += [(("pass", k), f"pass@{k}", "percent", "points") for k in evidence.table("after", "pass")]
    rows = []
    for path, label, kind, moves in paths:
        kinds = {"before": kind, "after": kind, "change": moves}
        found = [(evidence.estimate(moment, *path), how) for moment, how in kinds.items()]
        if any(estimate for estimate, _ in found):
            cells = [
                Cell(wording.shown(e, how), wording.interval(e, how), wording.sized(e)) for e, how in found
            ]
            rows.append([Cell(label), *cells])
    caption = "Held-out problems before and after; changes are paired by problem, shares in points"
    return Table(caption, ["", "Before", "After", "Change"], rows) if rows else None


def _samples(evidence: Evidence, name: str) -> list[dict[str, Any]]:
    return [
        {
            "step": str(row.get("step", "")),
            "question": str(row.get("question", "")),
            "right_answer": str(row.get("right_answer", "")),
            "completion": str(row.get("completion", "")),
            "answer": str(row.get("answer") or "none"),
            "mark": "✓" if row.get("right") else "✗",
            "verdict": "right" if row.get("right") else "wrong",
            "reward": wording.plain(number_of(row.get("reward"))),
        }
        for row in evidence.rows("samples", name)
    ]
