"""The page of an audit: the verdict, the numbers that it rests on, and what the log says against itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from candor.core.statistics import Estimate
from candor.report import wording
from candor.report.charts import Row
from candor.report.evidence import Evidence, estimate_of, number_of
from candor.report.plotted import Figure, rows_figure
from candor.report.provenance import provenance, provenance_tables
from candor.report.svg import legend
from candor.report.tables import Cell, Table
from candor.report.template import rendered
from candor.report.tiles import Tile, tile

SECTIONS = (
    ("verdict", "Verdict"),
    ("gains", "Gains and bounds"),
    ("certificate", "Certificate"),
    ("trust", "The proxy"),
    ("distance", "Distance"),
    ("log", "The log"),
    ("reproduce", "Reproduce"),
)
_WHAT = {
    "NOT APPLICABLE": "The interval of r is not above 0: hacking is defined for proxies with r above 0 only.",
    "HACKING": "r and the gain by the proxy are above 0; the gain by gold is below.",
    "NOT HACKING": "The gain by gold is not below 0, by labels or by the certificate.",
    "UNDETERMINED": "Anything else. A certificate that fails is no evidence of hacking.",
}
# A number of the summary: key, label, detail.
_TILES = (
    ("r", "r", "correlation of proxy and gold under the reference"),
    ("proxy_gain", "Gain by the proxy", "of the policy over the reference, in the proxy’s units"),
    ("gold_gain", "Gain by gold", "in gold’s units"),
    ("kappa", "κ", "gain by the proxy over its deviation and √χ²; at least, as far as a certificate goes"),
)
_DISTANCES = (
    (("numbers", "chi2"), "χ², pooled from both sides"),
    (("distance", "chi2_of_policy"), "χ², mean ρ − 1 of the policy’s completions"),
    (("distance", "chi2_not_negative"), "χ², mean ρ + 1/ρ − 2 of the policy’s completions"),
    (("distance", "kl"), "KL, nats a completion"),
    (("distance", "effective_reference"), "Effective samples of the reference"),
    (("distance", "effective_policy"), "Effective samples of the policy"),
    (("distance", "effective_prompts"), "Prompts that χ² rests on"),
    (("cautious", "largest_ratio"), "Largest ρ that a gold label has shown"),
    (("cautious", "beyond"), "Probability of the policy beyond it"),
    (("cautious", "clipped_share"), "Completions rewarded beyond what labels have shown"),
)
_PROXY = (
    ("r_overall", "r, over all prompts"),
    ("r", "r, within prompts"),
    ("slope", "Proxy units for each unit of gold, within prompts"),
    ("residual_sd", "Deviation of the proxy’s error within prompts: λ of the √χ² regulariser"),
    ("sd_proxy", "Deviation of the proxy within prompts"),
    ("sd_gold", "Deviation of gold within prompts"),
)


def render_audit_page(evidence: Evidence) -> str:
    """The page as HTML text."""
    return rendered("audit.html.jinja", context(evidence))


def context(evidence: Evidence) -> dict[str, Any]:
    """Everything that the template shows, finished: figures, tables and sentences."""
    state = evidence.text("state")
    return {
        **provenance(evidence),
        "sections": SECTIONS,
        "headline": headline(evidence),
        "lead": evidence.text("meaning"),
        "tiles": tiles(evidence),
        "reasons": _sentences(evidence, "reasons"),
        "settle": _sentences(evidence, "settle"),
        "against": _sentences(evidence, "against_certificate"),
        "certified": evidence.at("certified") is True,
        "objections": [str(row.get("text", "")) for row in evidence.rows("objections")],
        "states": [{"name": name, "text": text, "this": name == state} for name, text in _WHAT.items()],
        "figures": {"gains": gains(evidence), "certificate": certificate(evidence)},
        "tables": {
            "bounds": _bounds_table(evidence),
            "distance": _distance_table(evidence),
            "proxy": _proxy_table(evidence),
            "log": _log_table(evidence),
            **provenance_tables(evidence),
        },
    }


def headline(evidence: Evidence) -> str:
    """The verdict in one sentence."""
    state = evidence.text("state")
    return f"{state}. {evidence.text('headline')}" if state else "This audit has no verdict yet."


def tiles(evidence: Evidence) -> list[Tile]:
    """The numbers that the verdict rests on."""
    found = []
    for key, label, detail in _TILES:
        estimate = evidence.estimate("numbers", key)
        if estimate:
            one = tile(label, estimate, detail, "plain")
            if not one.interval and estimate.low is not None:
                one = replace(one, interval=f"at least {wording.plain(estimate.low)}")
            found.append(one)
    return found


def gains(evidence: Evidence) -> Figure | None:
    """Gains in standard deviations beside the bounds of theory."""
    scales = {
        "proxy_gain": number_of(evidence.at("calibration", "sd_proxy_overall")),
        "gold_gain": number_of(evidence.at("calibration", "sd_gold_overall")),
    }
    rows = []
    for key, label, style in (("proxy_gain", "Gain by the proxy", "s1"), ("gold_gain", "Gain by gold", "s0")):
        estimate, scale = evidence.estimate("numbers", key), scales[key]
        if estimate and scale:
            rows.append(Row(label, _scaled(estimate, scale), style, "dot"))
    scale = scales["gold_gain"]
    for key, label in (
        ("theorem", "the theorem"),
        ("max_min", "max-min"),
        ("residual", "errors within prompts"),
    ):
        value, low = (number_of(evidence.at("bounds", name)) for name in (key, f"{key}_low"))
        if value is not None and scale:
            bound = Estimate(value / scale, None if low is None else low / scale, value / scale, 0)
            rows.append(Row(f"At least, by {label}", bound, "s2", "dot"))
    if not rows:
        return None
    values = [end for row in rows for end in (row.estimate.value, row.estimate.low, row.estimate.high)]
    known = [end for end in values if end is not None]
    # A bound may be at minus a hundred, which would leave no room for what was measured.
    measured = [end for row in rows[:2] for end in (row.estimate.low, row.estimate.high) if end is not None]
    reach = max([1.0, *(abs(end) for end in measured)])
    low, high = max(min([0.0, *known]), -3 * reach), max([0.0, *known])
    caption = (
        "In standard deviations of each reward under the reference. A bound’s whisker goes down to its "
        "limit; bounds far below 0 say nothing, and are cut at the axis."
    )
    plot = rows_figure(
        "gains", "Gains of the policy, and what they are at least", rows,
        low=low, high=high or 1.0, kind="change", axis="tenths", reference=(0.0, "the reference"),
    )  # fmt: skip
    entries = [
        ("by the proxy", "fill s1", "dot"),
        ("by gold", "fill s0", "dot"),
        ("bounds", "fill s2", "dot"),
    ]
    return Figure(plot, caption, legend(entries))


def certificate(evidence: Evidence) -> Figure | None:
    """κ beside what it has to be above."""
    rows = []
    for key, label, style in (("kappa", "κ", "s0"), ("needed_kappa", "√(1 − r²), needed", "s1")):
        estimate = evidence.estimate("numbers", key)
        if estimate is None or estimate.value is None:
            return None
        # One-sided limits: a whisker in the direction that counts.
        if key == "kappa":
            ends = (max(0.0, estimate.low if estimate.low is not None else 0.0), estimate.value)
        else:
            ends = (estimate.value, estimate.high if estimate.high is not None else 1.0)
        rows.append(Row(label, Estimate(estimate.value, *ends, estimate.n), style, "dot"))
    values = [end for row in rows for end in (row.estimate.value, row.estimate.high) if end is not None]
    caption = (
        "κ is the gain by the proxy over its deviation within prompts and √χ². A certificate needs the lower "
        "end of κ above the upper end of what is needed; it counts only what gold labels have shown."
    )
    plot = rows_figure(
        "certificate",
        "κ, and what it has to be above",
        rows,
        high=max(1.0, *values),
        kind="score",
        axis="tenths",
    )
    return Figure(plot, caption)


def _scaled(estimate: Estimate, scale: float) -> Estimate:
    value, low, high = (
        None if end is None else end / scale for end in (estimate.value, estimate.low, estimate.high)
    )
    return Estimate(value, low, high, estimate.n)


def _sentences(evidence: Evidence, key: str) -> list[str]:
    value = evidence.at(key)
    return [str(line) for line in value] if isinstance(value, list) else []


def _bounds_table(evidence: Evidence) -> Table | None:
    rows = []
    for key, label in (
        ("theorem", "The theorem (Laidlaw et al. 2025)"),
        ("max_min", "Max-min: the worst gold of this r (Liu et al. 2026)"),
        ("residual", "By the proxy’s error within prompts; the limit is the certificate’s"),
    ):
        value, low = (number_of(evidence.at("bounds", name)) for name in (key, f"{key}_low"))
        if value is not None:
            rows.append([Cell(label), Cell(wording.plain(value)), Cell(wording.plain(low))])
    caption = "The gain by gold is at least, in gold’s units"
    return Table(caption, ["", "At the estimates", "At the limits"], rows) if rows else None


def _distance_table(evidence: Evidence) -> Table | None:
    rows = []
    for path, label in _DISTANCES:
        estimate = estimate_of(evidence.at(*path))
        if estimate:
            share = path[-1] in ("beyond", "clipped_share")
            kind = "percent" if share else "plain"
            rows.append([Cell(label), Cell(wording.shown(estimate, kind), wording.interval(estimate, kind))])
    return Table("How far the policy is from the reference", ["", "Estimate"], rows) if rows else None


def _proxy_table(evidence: Evidence) -> Table | None:
    found = evidence.table("calibration")
    rows = []
    for key, label in _PROXY:
        value = number_of(found.get(key))
        if value is None:
            continue
        ends = [number_of(found.get(f"{key}_{side}")) for side in ("low", "high")]
        words = ", ".join(
            f"{side} {wording.plain(end)}" for side, end in zip(("at least", "at most"), ends, strict=True)
            if end is not None
        )  # fmt: skip
        rows.append([Cell(label), Cell(wording.plain(value), words)])
    caption = (
        "Proxy and gold on the reference’s side: "
        f"{wording.count(number_of(found.get('n')))} completions of "
        f"{wording.count(number_of(found.get('prompts')))} prompts"
    )
    return Table(caption, ["", "Estimate"], rows) if rows else None


def _log_table(evidence: Evidence) -> Table | None:
    rows = []
    for side in ("reference", "policy"):
        count, gold = (number_of(evidence.at(key, side)) for key in ("completions", "labelled"))
        if count is not None:
            cells = [Cell(f"The {side}"), Cell(wording.count(count)), Cell(wording.count(gold))]
            name = "mean ρ of the reference" if side == "reference" else "mean 1/ρ of the policy"
            estimate = evidence.estimate("distance", "identities", name)
            rows.append([*cells, Cell(wording.shown(estimate, "score"), wording.interval(estimate, "score"))])
    columns = ["", "Completions", "With gold", "Mean ρ or 1/ρ, to be 1"]
    return Table("What was logged", columns, rows) if rows else None
