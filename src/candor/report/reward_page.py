"""The page of a reward model: what it ranks rightly, what confidence is worth, and whether to trust it."""

from __future__ import annotations

import math
from typing import Any

from candor.core.statistics import Estimate
from candor.report import outcome_figures, wording
from candor.report.charts import Axis, Row, Series, line_chart
from candor.report.confidence_figures import reliability_figure
from candor.report.evidence import Evidence, estimate_of, number_of
from candor.report.plotted import Figure, rows_figure
from candor.report.provenance import provenance, provenance_tables
from candor.report.svg import figure, legend
from candor.report.tables import Cell, Table
from candor.report.template import rendered
from candor.report.tiles import Tile, tile

SECTIONS = (
    ("accuracy", "What it ranks rightly"),
    ("trust", "Whether to trust it"),
    ("calibration", "What its confidence is worth"),
    ("members", "Members"),
    ("learning", "How it learned"),
    ("mistakes", "Its worst mistakes"),
    ("reproduce", "Reproduce"),
)
_BASELINES = {
    "longer": "the longer one",
    "likelihood": "the likelier one, before training",
    "likelihood a token": "the likelier one, a token",
}
_COIN = (0.5, "a coin")
_LONGEST = 700  # letters of a text


def render_reward_page(evidence: Evidence) -> str:
    """The page as HTML text."""
    return rendered("reward.html.jinja", context(evidence))


def context(evidence: Evidence) -> dict[str, Any]:
    """Everything that the template shows, finished: figures, tables and sentences."""
    pairs = evidence.text("kind") != "labels"
    return {
        **provenance(evidence),
        "sections": SECTIONS,
        "headline": headline(evidence),
        "lead": lead(evidence),
        "sentence": evidence.text("distrust", "sentence"),
        "tiles": tiles(evidence),
        "figures": {
            "accuracy": accuracy_figure(evidence),
            "groups": groups_figure(evidence, ("held_out", "groups"), "groups", "Held-out pairs by kind"),
            "trust": trust_figure(evidence),
            "reliability": reliability_figure(
                evidence, ("held_out",), "pairs" if pairs else "completions", low=0.5 if pairs else 0.0
            ),
            "members": members_figure(evidence),
            "loss": curve(evidence, "loss", "Loss", "nats a comparison"),
            "right": curve(evidence, "accuracy", "Ranked rightly", "share"),
            "timings": outcome_figures.timings(evidence),
        },
        "tables": {"numbers": numbers_table(evidence), **provenance_tables(evidence)},
        "mistakes": {name: _mistakes(evidence, name) for name in ("held_out", "adversarial")},
    }


def headline(evidence: Evidence) -> str:
    """The result in one sentence."""
    own, tricky = evidence.estimate("held_out", "accuracy"), evidence.estimate("distrust", "accuracy")
    if not own or not tricky:
        return "This run has no results yet."
    return (
        f"It ranks {wording.percent(own.value)} of {_held_out(evidence)} rightly, and "
        f"{wording.percent(tricky.value)} of pairs made to mislead."
    )


def _held_out(evidence: Evidence) -> str:
    """What it was measured on."""
    labels = evidence.text("kind") == "labels"
    return "good and bad completions of held-out prompts" if labels else "held-out pairs"


def lead(evidence: Evidence) -> str:
    """What was learned from."""
    rows = number_of(evidence.at("notes", "train"))
    if not rows:
        return ""
    kind = "labelled completions" if evidence.text("kind") == "labels" else "pairs"
    return f"A reward model of {rows:,.0f} {kind} ({evidence.text('data')}); whole prompts were held out."


def tiles(evidence: Evidence) -> list[Tile]:
    """The numbers that a user looks at first."""
    found = []
    for label, keys, kind, detail in (
        (
            "Ranked rightly",
            ("held_out", "accuracy"),
            "percent",
            f"of {_held_out(evidence)}; a coin gets half",
        ),
        ("Made to mislead", ("distrust", "accuracy"), "percent", "of such pairs ranked rightly"),
        ("Longer one wins", ("held_out", "baselines", "longer", "accuracy"), "percent", "as a baseline"),
        ("Calibration error", ("held_out", "ece"), "score", "of σ(difference of rewards)"),
    ):
        estimate = evidence.estimate(*keys)
        if estimate:
            found.append(tile(label, estimate, detail, kind))
    return found


def accuracy_figure(evidence: Evidence) -> Figure | None:
    """The reward model beside what is trivial."""
    own = evidence.estimate("held_out", "accuracy")
    if not own:
        return None
    rows = [Row("reward model", own, "s0")]
    for name, label in _BASELINES.items():
        estimate = evidence.estimate("held_out", "baselines", name, "accuracy")
        if estimate:
            rows.append(Row(label, estimate, "s1"))
    for key, label in (("longer", "… where the better one is longer"), ("shorter", "… where it is shorter")):
        estimate = evidence.estimate("held_out", f"where_better_is_{key}")
        if estimate:
            rows.append(Row(label, estimate, "s2"))
    what = _held_out(evidence)
    plot = rows_figure("accuracy", f"{what[:1].upper()}{what[1:]} ranked rightly", rows, reference=_COIN)
    entries = [("reward model", "fill s0", "box"), ("baselines", "fill s1", "box")]
    if any(row.style == "s2" for row in rows):
        entries.append(("the reward model, by length", "fill s2", "box"))
    caption = (
        "Of other prompts than it learned from. One that goes by length does well only where that is right."
    )
    return Figure(plot, caption, legend(entries))


def groups_figure(
    evidence: Evidence, keys: tuple[str, ...], name: str, title: str, caption: str = ""
) -> Figure | None:
    """Accuracy by group."""
    rows = [
        Row(f"{group} (n = {estimate.n})", estimate, "s0", "dot")
        for group, found in evidence.table(*keys).items()
        if (estimate := estimate_of(found))
    ]
    return Figure(rows_figure(name, title, rows, reference=_COIN), caption) if rows else None


def trust_figure(evidence: Evidence) -> Figure | None:
    """Accuracy on misleading pairs by group, with that on held-out ones."""
    own, whole = evidence.estimate("held_out", "accuracy"), evidence.estimate("distrust", "accuracy")
    if not own or not whole:
        return None
    rows = [Row("held-out pairs", own, "s0"), Row("made to mislead", whole, "s3")]
    for group, found in evidence.table("distrust", "groups").items():
        estimate = estimate_of(found)
        if estimate:
            rows.append(Row(f"{group} (n = {estimate.n})", estimate, "s3", "dot"))
    longer = evidence.estimate("distrust", "longer")
    beside = f" The longer one is the better one in {wording.shown(longer)} of them." if longer else ""
    caption = (
        f"Pairs ({evidence.text('distrust', 'source')}) in which the nicer-looking answer is wrong. Left of "
        f"the line it does worse than a coin.{beside}"
    )
    return Figure(rows_figure("trust", "Pairs made to mislead", rows, reference=_COIN), caption)


def members_figure(evidence: Evidence) -> Figure | None:
    """Each member and their combinations."""
    members = [estimate_of(one) for one in evidence.at("ensemble", "members") or []]
    rows = [Row(f"member {number}", one, "s1") for number, one in enumerate(members, 1) if one]
    for name, found in evidence.table("ensemble", "combinations").items():
        estimate = estimate_of(found)
        if estimate:
            rows.append(Row({"averaged": "mean of weights"}.get(name, name), estimate, "s0"))
    if not rows:
        return None
    agreement: Estimate | None = evidence.estimate("ensemble", "agreement")
    one, two = (evidence.estimate("ensemble", f"of_{many}") for many in ("one_mind", "two_minds"))
    caption = (
        f"Two members agree on {wording.full(agreement)} of pairs. Where all agree, they are right on "
        f"{wording.full(one)}; where not, on {wording.full(two)}."
    )
    entries = [("members", "fill s1", "box"), ("combined", "fill s0", "box")]
    plot = rows_figure("members", "Held-out pairs ranked rightly", rows, reference=_COIN)
    return Figure(plot, caption, legend(entries))


def curve(evidence: Evidence, key: str, title: str, label: str) -> Figure | None:
    """A measure of every update, a line for each member."""
    lines: dict[int, dict[float, float]] = {}
    for event in evidence.events:
        step, value = number_of(event.get("step")), number_of(event.get(key))
        if event.get("event") == "step" and step is not None and value is not None:
            lines.setdefault(int(number_of(event.get("member")) or 1), {})[step] = value  # some twice: a kill
    series, words = [], []
    for place, (member, points) in enumerate(sorted(lines.items())):
        if len(points) < 2:
            continue
        xs, ys = zip(*sorted(points.items()), strict=True)
        series.append(Series(f"member {member}", xs, ys, f"s{min(place, 7)}"))
        words.append(
            f"member {member}: {ys[0]:.3g} at update {xs[0]:.0f}, {ys[-1]:.3g} at update {xs[-1]:.0f}"
        )
    if not series:
        return None
    most = max(max(line.ys) for line in series)
    x = Axis("updates", 1.0, max(line.xs[-1] for line in series), wording.plain, counts=True)
    y = Axis(label, 0.0, 1.0 if most <= 1 else math.ceil(most * 2) / 2, wording.plain)
    plot = figure(
        f"curve-{key}", title, "; ".join(words), lambda width: line_chart(width, x, y, series=series)
    )
    entries = [(line.label, f"stroke {line.style}", "line") for line in series]
    return Figure(
        plot, f"{title}: each update’s own, before it.", legend(entries if len(entries) > 1 else [])
    )


def numbers_table(evidence: Evidence) -> Table | None:
    """Every number with its interval."""
    rows = []
    for label, keys, kind in (
        ("Ranked rightly", ("accuracy",), "percent"),
        ("Labelled rightly", ("labelled_right",), "percent"),
        ("AUROC of labels", ("auroc",), "score"),
        ("Log loss, nats", ("log_loss",), "score"),
        ("Brier score", ("brier",), "score"),
        ("Expected calibration error", ("ece",), "score"),
        *(
            (f"Ahead of {name}, points", ("baselines", key, "ahead_of_it"), "points")
            for key, name in _BASELINES.items()
        ),
    ):
        estimate = evidence.estimate("held_out", *keys)
        if estimate:
            cell = Cell(
                wording.shown(estimate, kind), wording.interval(estimate, kind), wording.sized(estimate)
            )
            rows.append([Cell(label), cell])
    return Table("On held-out prompts, with 95% intervals", ["", "Value"], rows) if rows else None


def _mistakes(evidence: Evidence, name: str) -> list[dict[str, str]]:
    return [
        {
            "prompt": _text(row.get("prompt")),
            "better": _text(row.get("chosen")),
            "worse": _text(row.get("rejected")),
            "ahead": wording.plain(-(number_of(row.get("ahead")) or 0.0)),
            "group": str(row.get("group") or ""),
        }
        for row in evidence.rows("samples", name)
    ]


def _text(value: object) -> str:
    """A text, or the messages one under the other."""
    turns = value if isinstance(value, list) else [value]
    said = [str(turn.get("content", "")) if isinstance(turn, dict) else str(turn or "") for turn in turns]
    text = "\n\n".join(said)
    return text[:_LONGEST] + ("…" if len(text) > _LONGEST else "")
