"""The page of the laboratory: what became of proxy and truth in each arm, and on the way there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from candor.core.statistics import Estimate
from candor.report import wording
from candor.report.charts import Axis, Mark, Row, Series, line_chart
from candor.report.evidence import Evidence, estimate_of, number_of
from candor.report.plotted import Figure, rows_figure
from candor.report.provenance import provenance, provenance_tables
from candor.report.svg import figure, legend
from candor.report.tables import Cell, Table
from candor.report.template import rendered

SECTIONS = (
    ("outcome", "Proxy and truth"),
    ("way", "On the way"),
    ("replies", "Replies"),
    ("arms", "What the arms are"),
    ("reproduce", "Reproduce"),
)
_ARMS = {
    "none": "nothing holds the policy: the proxy as it is",
    "kl": "the log-ratio of each reply, times a weight in the proxy’s deviations, off its reward (k1)",
    "kl-loss": "GRPO’s estimator k3 in the loss: the gradient of another divergence",
    "chi2": "√χ² of whole replies; its weight is λ at the lower limit of r that 200 labelled replies of the "
    "reference set, or a share of it",
    "max-min": "the worst case over all true rewards that correlate as the labelled replies say",
    "mean": "the mean of four reward models, nothing else",
    "worst": "the lowest of four reward models",
    "uncertainty": "the mean of four less their variance",
    "par": "sigmoid of the reward less the reference’s (preference as reward)",
    "par+chi2": "both, with λ found again for the transformed reward",
    "best-of": "nothing is trained: the best of n of the reference’s replies, n by the lower limit of r",
    "pessimism": "nothing is trained: one of 64 replies, with the weights that √χ² at that λ gives them",
}


def render_hacking_page(evidence: Evidence) -> str:
    """The page as HTML text."""
    return rendered("hacking.html.jinja", context(evidence))


def context(evidence: Evidence) -> dict[str, Any]:
    """Everything that the template shows, finished: figures, tables and sentences."""
    arms = evidence.rows("arms")
    return {
        **provenance(evidence),
        "model": "A small world",
        "sections": SECTIONS,
        "headline": headline(arms),
        "lead": lead(evidence),
        "figures": {"worth": worth(arms), "proxy": proxy(arms)},
        "curves": [
            (title, found)
            for title, found in (
                ("Against √KL", against_kl(arms)),
                (
                    "Against χ²",
                    way(arms, "chi2", "ln(1 + χ²)", lambda row: math.log1p(max(0.0, row["chi2"]))),
                ),
            )
            if found
        ],
        "recommended": _recommended(arms),
        "tables": {"arms": _table(arms), **provenance_tables(evidence)},
        "replies": _replies(arms),
        "explained": [
            (name, text) for name, text in _ARMS.items() if any(_name(row) == name for row in arms)
        ],
    }


def headline(arms: Sequence[dict[str, Any]]) -> str:
    """The result in one sentence."""
    free, held = (next((row for row in arms if row.get("arm") == name), None) for name in ("none", "chi2"))
    if not free:
        return "This run has no result yet." if not arms else "Each arm beside the reference."
    after = free["after"]
    change = after["gold_change"]
    down = change.get("high") is not None and change["high"] < 0
    words = (
        f"Unregularised, the proxy gains {after['proxy_gain']:.1f} standard deviations and the true worth "
        f"goes from {after['gold_before']:.2f} to {after['gold']['value']:.2f}"
        + (": reward hacking" if down else "")
    )
    if held:
        words += f"; with √χ² it goes to {held['after']['gold']['value']:.2f}"
    return words.replace("-", wording.MINUS) + "."


def lead(evidence: Evidence) -> str:
    """What was done."""
    if not evidence.rows("arms"):
        return ""
    noise = wording.percent(number_of(evidence.at("noise")))
    return (
        "A small language model answers questions. What an answer is worth is known; the reward models "
        f"learned it from {evidence.text('pairs')} pairs of the model’s own answers, of which {noise} were "
        "labelled the wrong way. Then one policy for each arm learned from them. Held out: "
        f"{evidence.text('questions')} questions, {evidence.text('replies')} answers to each."
    )


def worth(arms: Sequence[dict[str, Any]]) -> Figure | None:
    """The change of true worth in each arm."""
    rows = [
        Row(row["arm"], found, _style(row), "dot")
        for row in arms
        if (found := estimate_of(row["after"].get("gold_change")))
    ]
    if not rows:
        return None
    low, high = _span([e for row in rows for e in (row.estimate.low, row.estimate.high, row.estimate.value)])
    plot = rows_figure(
        "worth",
        "Change of true worth",
        rows,
        low=low,
        high=high,
        kind="change",
        reference=(0.0, "the reference"),
    )
    return Figure(
        plot, "On held-out questions, paired by question, with 95 % intervals. Left of the line: hacked."
    )


def proxy(arms: Sequence[dict[str, Any]]) -> Figure | None:
    """The proxy's gain in each arm."""
    rows = [
        Row(row["arm"], Estimate(row["after"]["proxy_gain"], None, None, 0), _style(row), "dot")
        for row in arms
    ]
    if not rows:
        return None
    low, high = _span([row.estimate.value for row in rows])
    plot = rows_figure(
        "proxy",
        "Gain of the proxy, standard deviations",
        rows,
        low=low,
        high=high,
        kind="change",
        reference=(0.0, "the reference"),
    )
    return Figure(plot, "What each policy was rewarded by: for ensembles and par, their own reward.")


def against_kl(arms: Sequence[dict[str, Any]]) -> Figure | None:
    """Proxy and truth on the way, against √KL from the reference."""
    return way(arms, "kl", "√KL from the reference", lambda row: math.sqrt(max(0.0, row["kl"])))


def way(
    arms: Sequence[dict[str, Any]], name: str, label: str, x_of: Callable[[dict[str, Any]], float]
) -> Figure | None:
    """Proxy and truth against the distance from the reference, in some arms, in deviations of each."""
    chosen = [row for row in arms if row.get("arm") in _shown_arms(arms) and row.get("steps")]
    series, marks, entries = [], [], []
    for row in chosen:
        style, known, mean = _style(row), row["calibration"], row["proxy_mean"]
        xs = [x_of(step) for step in row["steps"]]
        truth = [
            (step["gold"] - row["after"]["gold_before"]) / known["sd_gold_overall"] for step in row["steps"]
        ]
        gain = [(step["proxy"] - mean) / known["sd_proxy_overall"] for step in row["steps"]]
        order = sorted(range(len(xs)), key=xs.__getitem__)
        for label_of, ys, drawn in (("truth", truth, style), ("proxy", gain, f"{style} dashed")):
            smooth = _smoothed([ys[i] for i in order])
            series.append(Series(f"{row['arm']}, {label_of}", [xs[i] for i in order], smooth, drawn))
        marks.append(Mark(f"{row['arm']}: truth at the end", xs[-1], truth[-1], style, "dot"))
        entries += [
            (f"{row['arm']}, truth", f"stroke {style}", "line"),
            (f"{row['arm']}, proxy", f"stroke {style} dashed", "line"),
        ]
    if not series:
        return None
    values = [y for line in series for y in line.ys]
    low, high = _span([*values, *(mark.y for mark in marks)])
    x = Axis(label, 0.0, max(max(line.xs) for line in series) or 1.0, wording.plain)
    y = Axis("gain, standard deviations", low, high, wording.plain)
    plot = figure(
        f"way-{name}",
        f"Proxy and truth against {label}",
        "; ".join(f"{mark.label}: {mark.y:+.2f} at {mark.x:.2f}" for mark in marks),
        lambda width: line_chart(
            width, x, y, series=series, marks=marks, levels=[(Estimate(0.0, None, None, 0), "s4")]
        ),
    )
    caption = (
        "Each step’s replies, smoothed over neighbours; a dot where the truth ended. 0 is the reference."
    )
    return Figure(plot, caption, legend(entries))


def _shown_arms(arms: Sequence[dict[str, Any]]) -> list[str]:
    """Nothing, √χ², and the weight of KL that suits the truth best."""
    kl = [row for row in arms if _name(row) == "kl"]
    best = max(kl, key=lambda row: row["after"]["gold"]["value"], default=None)
    return ["none", "chi2", *([best["arm"]] if best else [])]


def _name(row: dict[str, Any]) -> str:
    return str(row.get("arm", "")).partition("=")[0]


def _style(row: dict[str, Any]) -> str:
    return {"none": "s3", "kl": "s2", "kl-loss": "s2", "chi2": "s0", "par+chi2": "s0", "max-min": "s0"}.get(
        _name(row), "s1"
    )


def _span(values: Sequence[float | None]) -> tuple[float, float]:
    known = [value for value in values if value is not None]
    return min(0.0, math.floor(2 * min(known)) / 2), max(0.5, math.ceil(2 * max(known)) / 2)


def _smoothed(values: Sequence[float], reach: int = 3) -> list[float]:
    return [
        sum(part) / len(part)
        for i in range(len(values))
        if (part := values[max(0, i - reach) : i + reach + 1])
    ]


def _table(arms: Sequence[dict[str, Any]]) -> Table | None:
    columns = [
        "", "Proxy, σ̃", "True worth", "Change of worth", "Foreseen, at least", "KL", "√χ²", "r", "λ, at most"
    ]  # fmt: skip
    rows = []
    for row in arms:
        after, known = row["after"], row["calibration"]
        change, gold = estimate_of(after["gold_change"]), estimate_of(after["gold"])
        rows.append(
            [
                Cell(row["arm"]),
                Cell(wording.change(after["proxy_gain"])),
                Cell(wording.shown(gold, "plain"), wording.interval(gold, "plain"), wording.sized(gold)),
                Cell(
                    wording.shown(change, "change"), wording.interval(change, "change"), wording.sized(change)
                ),
                Cell(wording.change(_foreseen(row))),
                Cell(wording.plain(after["kl"])),
                Cell(wording.plain(math.sqrt(max(0.0, after["chi2"])))),
                Cell(wording.plain(known["r_overall"])),
                Cell(wording.plain(number_of(row.get("weight_high")))),
            ]
        )
    return Table("All arms, on held-out questions", columns, rows) if rows else None


def _foreseen(row: dict[str, Any]) -> float | None:
    return number_of((row["after"].get("foreseen") or {}).get("low"))


def _recommended(arms: Sequence[dict[str, Any]]) -> str:
    """Which weight of √χ² labels of the reference's replies recommend, and what became of it."""
    known = [(low, row) for row in arms if _name(row) == "chi2" and (low := _foreseen(row)) is not None]
    if len(known) < 2:
        return ""
    low, row = max(known, key=lambda one: one[0])
    change = estimate_of(row["after"]["gold_change"])
    return (
        "Of the weights of √χ², labels of the reference’s replies, which know nothing of any policy’s own, "
        f"recommend {row['arm']}: they foresee a change of worth of at least {wording.change(low)}. "
        f"It was {wording.shown(change, 'change')} ({wording.interval(change, 'change')})."
    )


def _replies(arms: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the reference and some arms reply to the same questions."""
    shown = [row for row in arms if row.get("arm") in _shown_arms(arms)]
    if not shown:
        return []
    return [
        {
            "question": one["prompt"],
            "replies": [
                ("reference", " · ".join(one["before"])),
                *((row["arm"], " · ".join(row["after"]["samples"][place]["after"])) for row in shown),
            ],
        }
        for place, one in enumerate(shown[0]["after"]["samples"])
    ]
