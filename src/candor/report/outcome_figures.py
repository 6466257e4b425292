"""Figures of what the model answered: outcomes, ways to abstain, invented things, and the run itself."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from candor.core.statistics import Estimate
from candor.report import wording
from candor.report.charts import Row, stacked_chart
from candor.report.evidence import Evidence, estimate_of, number_of
from candor.report.plotted import Figure, bounds, count_figure, counts_of, rows_figure
from candor.report.svg import figure, legend, ticks

VERDICTS = ("correct", "incorrect", "not_attempted")


def outcome_bars(evidence: Evidence) -> Figure | None:
    """Before and after as two whole bars."""
    rows, words = [], []
    for stage, name in (("before", "Before"), ("after", "After")):
        shares = [
            (wording.VERDICTS[v], v, e.value or 0.0) for v in VERDICTS if (e := evidence.estimate(stage, v))
        ]
        if shares:
            rows.append((name, shares))
            words.append(
                f"{name}: " + ", ".join(f"{wording.percent(s)} {label}" for label, _, s in shares) + "."
            )
    if not rows:
        return None
    plot = figure(
        "outcome-bars",
        "Answers to the held-out questions before and after tuning",
        " ".join(words),
        lambda width: stacked_chart(rows, width, format=wording.percent),
    )
    return Figure(plot, "Every held-out question, asked closed-book.", _verdict_legend())


def outcome_panels(evidence: Evidence) -> Figure | None:
    """Each outcome with its interval, for the model before and after and for the trivial baselines."""
    answerers = {
        "Before": evidence.at("before"),
        "After": evidence.at("after"),
        "Always answers": evidence.at("baselines", "always_answers"),
        "Always refuses": evidence.at("baselines", "always_refuses"),
    }
    panels = []
    for verdict in VERDICTS:
        rows = []
        for label, outcome in answerers.items():
            estimate = estimate_of(outcome.get(verdict)) if isinstance(outcome, dict) else None
            if estimate:
                rows.append(
                    Row(label, estimate, verdict if label in ("Before", "After") else f"{verdict} pale")
                )
        if rows:
            heading = {"correct": "Right", "incorrect": "Wrong", "not_attempted": "“I don’t know”"}[verdict]
            panels.append(rows_figure(f"panel-{verdict}", heading, rows, heading=heading))
    if not panels:
        return None
    caption = "Share of the held-out questions, with 95% intervals. Pale bars are trivial baselines."
    return Figure(Markup("").join(panels), caption)


def abstention(evidence: Evidence) -> Figure | None:
    """Risk of the three ways to abstain, at the same coverage."""
    listed = evidence.rows("abstention", "equal_coverage")
    coverages = {number_of(row.get("coverage")) for row in listed}
    rows = []
    for row in listed:
        risk = estimate_of(row.get("risk"))
        if risk:
            name = str(row.get("name", ""))
            at = f" at {wording.percent(number_of(row.get('coverage')))}" if len(coverages) > 1 else ""
            rows.append(Row(f"{name}{at}", risk, "s0", "dot"))
    if not rows:
        return None
    high = _upper(row.estimate for row in rows)
    at = (
        f", all answering {wording.percent(next(iter(coverages)))} of the questions"
        if len(coverages) == 1
        else ""
    )
    title = "Share of given answers that are wrong, by way to abstain"
    caption = f"Of the answers that are given, the share that is wrong{at}. Lower is better; 95% intervals."
    return Figure(rows_figure("abstention", title, rows, high=high), caption)


def invented(evidence: Evidence) -> Figure | None:
    """Refusals of invented things, by kind."""
    rows = []
    for kind, value in evidence.table("invented", "by_kind").items():
        estimate = estimate_of(value)
        if estimate:
            label = wording.humanised(kind)
            label = f"{label} (n = {estimate.n})" if estimate.n else label
            rows.append(Row(label, estimate, "not_attempted"))
    if not rows:
        return None
    plot = rows_figure("invented", "Invented things refused after tuning, by kind", rows)
    return Figure(plot, "Share refused after tuning. “I don’t know” is the only right answer here.")


def rejections(evidence: Evidence) -> Figure | None:
    """Why candidate questions were dropped."""
    counts = counts_of(evidence.table("questions", "generation", "rejected"))
    if not counts:
        return None
    plot = count_figure("rejections", "Candidate questions rejected, by reason", counts)
    return Figure(plot, "Each candidate is counted once, under the first test that it failed.")


def boundary(evidence: Evidence) -> Figure | None:
    """Known, unsure and unknown questions of the original model."""
    found = evidence.table("boundary")
    parts = []
    for name, style in (("known", "correct"), ("unsure", "unsure"), ("unknown", "not_attempted")):
        value = number_of(found.get(name))
        if value is not None:
            parts.append((name, style, value))
    if not sum(value for _, _, value in parts):
        return None
    words = ", ".join(f"{value:.0f} {name}" for name, _, value in parts)
    plot = figure(
        "boundary",
        "What the original model knows",
        words,
        lambda width: stacked_chart([("Questions", parts)], width, format=wording.count),
    )
    entries = [(wording.humanised(name), f"fill {style}", "box") for name, style, _ in parts]
    return Figure(plot, "By how many of its sampled answers were right.", legend(entries))


def timings(evidence: Evidence) -> Figure | None:
    """Seconds by stage."""
    counts = counts_of(evidence.table("timings"))
    if not counts:
        return None
    total = sum(value for _, value in counts)
    plot = count_figure("timings", "Time by stage", counts, "duration")
    return Figure(plot, f"{wording.duration(total)} in all.")


def _upper(estimates: Iterable[Estimate]) -> float:
    """The end of an axis that holds every interval."""
    highest = max(bounds(estimate)[1] for estimate in estimates)
    return min(1.0, next((tick for tick in ticks(0, 1, 10) if tick >= highest), 1.0))


def _verdict_legend() -> Markup:
    return legend((wording.humanised(wording.VERDICTS[v]), f"fill {v}", "box") for v in VERDICTS)
