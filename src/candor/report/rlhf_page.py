"""The page of a run of RLHF: what an audit says of it, how it learned, how far to trust its reward."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from candor.report import audit_page, outcome_figures, wording
from candor.report.curves import Curve, curves
from candor.report.evidence import Evidence, number_of
from candor.report.provenance import provenance, provenance_tables
from candor.report.tables import Cell, Table
from candor.report.template import rendered

SECTIONS = (
    ("verdict", "Verdict"),
    ("learning", "How it learned"),
    ("trust", "The reward"),
    ("replies", "Replies"),
    ("reproduce", "Reproduce"),
)
_CURVES = (
    Curve(
        "reward",
        "Reward",
        "mean reward",
        (("reward", "policy"), ("reference_reward", "reference, same prompts")),
        "Of each step’s replies. That it rises says nothing of the truth.",
    ),
    Curve(
        "distance",
        "Distance from the reference",
        "nats a reply",
        (("kl", "KL"),),
        "KL(policy‖reference), estimated from the step’s replies.",
    ),
    Curve(
        "chi2",
        "χ² from the reference",
        "χ²",
        (("chi2", "χ²"),),
        "Of whole replies, pooled from the policy’s and the reference’s: what the bound goes by.",
    ),
    Curve(
        "effective",
        "Effective samples",
        "share of the reference’s replies",
        (("effective", "share"),),
        "How many of the reference’s replies still stand for the policy; where few do, χ² is hardly known.",
    ),
    Curve(
        "length",
        "Length of replies",
        "tokens",
        (("tokens", "mean"), ("longest", "longest")),
        "A usual way to hack.",
    ),
    Curve(
        "entropy",
        "Entropy of the policy",
        "nats a token",
        (("entropy", "entropy"),),
        "Near 0 it says the same thing whatever it is asked.",
    ),
)


_HELD_BY = {
    "chi2": "√χ²",
    "kl": "KL taken off the reward",
    "kl-loss": "KL (k3) in the loss",
    "max-min": "the worst true reward that fits the labels (max-min)",
}


def render_rlhf_page(evidence: Evidence) -> str:
    """The page as HTML text."""
    return rendered("rlhf.html.jinja", context(evidence))


def context(evidence: Evidence) -> dict[str, Any]:
    """Everything that the template shows: the audit's own page, and what is the run's."""
    share = evidence.at("choice", "share")
    audited = audit_page.context(replace(evidence, metrics=evidence.table("audit")))
    return {
        **audited,
        **provenance(evidence),
        "sections": SECTIONS,
        "lead": lead(evidence),
        "meaning": audited["lead"],
        "curves": curves(evidence, _CURVES, lambda event: event.get("share") in (None, share)),
        "trials": _trials(evidence),
        "figures": {**audited["figures"], "timings": outcome_figures.timings(evidence)},
        "tables": {**audited["tables"], **provenance_tables(evidence)},
        "replies": evidence.rows("replies"),
    }


def lead(evidence: Evidence) -> str:
    """What was learned from, and what held it."""
    if not evidence.text("reward"):
        return ""
    regularizer = evidence.text("regularizer")
    held = f"held by {_HELD_BY.get(regularizer, regularizer)}"
    if regularizer == "none":
        held = "nothing held it near the reference"
    weight = evidence.at("weight")
    if isinstance(weight, int | float) and regularizer in ("chi2", "kl", "kl-loss"):
        held += f" with a weight of {weight:.3g}"
    return f"The policy learned from the reward model {evidence.text('reward')}, {held}."


def _trials(evidence: Evidence) -> Table | None:
    """What the labels foresaw of each policy that was tried."""
    trials = evidence.rows("choice", "trials")
    if len(trials) < 2:
        return None
    rows = []
    for trial in trials:
        foreseen = trial.get("foreseen") or {}
        gain, low, effective = (number_of(foreseen.get(key)) for key in ("gain", "low", "effective"))
        kept = " (kept)" if trial.get("share") == evidence.at("choice", "share") else ""
        rows.append(
            [
                Cell(f"{wording.plain(number_of(trial.get('share')))}{kept}"),
                Cell(wording.change(gain)),
                Cell("none" if low is None else wording.change(low)),
                Cell(f"{wording.plain(effective)} of {foreseen.get('labels', 0)}"),
            ]
        )
    columns = ["Share of the weight", "Foreseen gain by gold", "At least", "Labels that stand for it"]
    return Table("What gold labels of the reference’s replies foresee of each policy", columns, rows)
