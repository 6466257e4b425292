"""The report's tables: every number with its interval and n."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from candor.core.statistics import Estimate
from candor.report import wording
from candor.report.evidence import Evidence, estimate_of, number_of


@dataclass(frozen=True)
class Cell:
    """A number with what belongs to it, apart so that narrow columns break between them."""

    text: str
    interval: str = ""
    n: str = ""


@dataclass(frozen=True)
class Table:
    """A table of finished text: the first cell of a row is its header."""

    caption: str
    columns: list[str]
    rows: list[list[Cell]]


def outcome_table(evidence: Evidence) -> Table | None:
    """Every number of the comparison before and after, with intervals."""
    rows = []
    stages = {"before": evidence.table("before"), "after": evidence.table("after")}
    for name, key in (
        ("Right", "correct"),
        ("Wrong", "incorrect"),
        ("“I don’t know”", "not_attempted"),
        ("Right among answers given", "attempted_precision"),
    ):
        found = [estimate_of(stage.get(key)) for stage in stages.values()]
        if any(found):
            rows.append([Cell(name), *map(_cell, found)])
    honesty = [evidence.estimate("change", key) for key in ("honesty_before", "honesty")]
    if any(honesty):
        rows.append([Cell("Honesty: ½ (unknown refused + known answered)"), *map(_cell, honesty)])
    return Table("Before and after, with 95% intervals", ["", "Before", "After"], rows) if rows else None


def change_table(evidence: Evidence) -> Table | None:
    """What became of the questions that were right, and of those that were not."""
    rows = []
    for name, key in (
        ("Wrong answers cut, as a share of those before", "wrong_cut"),
        ("Right answers kept", "right_kept"),
        ("Known questions refused (over-refusal)", "over_refusal"),
        ("Unknown questions refused", "refused_unknown"),
        ("Newly right", "newly_correct"),
    ):
        estimate = evidence.estimate("change", key)
        if estimate:
            rows.append([Cell(name), _cell(estimate)])
    return Table("Of the same questions, with 95% intervals", ["", "Share"], rows) if rows else None


def abstention_table(evidence: Evidence) -> Table | None:
    """The ways to abstain as they run, each at its own coverage."""
    columns = {
        "correct": "Right",
        "incorrect": "Wrong",
        "not_attempted": "“I don’t know”",
        "right_kept": "Right kept",
        "wrong_cut": "Wrong cut",
        "invented_refused": "Invented refused",
    }
    ways = evidence.rows("abstention", "ways")
    used = [key for key in columns if any(estimate_of(way.get(key)) for way in ways)]
    rows = [
        [
            Cell(str(way.get("label") or way.get("name") or "")),
            *(_cell(estimate_of(way.get(k))) for k in used),
        ]
        for way in ways
    ]
    caption = "Each way at its own threshold"
    return Table(caption, ["Way to abstain", *(columns[k] for k in used)], rows) if rows and used else None


def score_table(evidence: Evidence) -> Table | None:
    """Every ranking score with AUROC and AURC."""
    found = []
    for name, row in evidence.table("scores").items():
        if not isinstance(row, dict):
            continue
        roc, area = estimate_of(row.get("auroc")), estimate_of(row.get("aurc"))
        if roc or area:
            label = str(row.get("label") or wording.humanised(name))
            n = (roc or area or Estimate(None, None, None, 0)).n
            cells = [
                Cell(label),
                *(Cell(e.text, e.interval) for e in (_cell(roc, "score"), _cell(area, "score"))),
            ]
            cells.append(Cell(wording.count(n) if n else wording.DASH))
            found.append((-(roc.value or 0) if roc else 0.0, cells))
    rows = [cells for _, cells in sorted(found, key=lambda pair: pair[0])]
    columns = ["Score", "AUROC (higher is better)", "AURC (lower is better)", "n"]
    return Table("How well each score ranks answers, with 95% intervals", columns, rows) if rows else None


def judge_table(evidence: Evidence) -> Table | None:
    """The judge's accuracy, overall and by label."""
    rows = []
    for name, key in (("All labelled cases", "accuracy"), ("Cases held out while writing its rules", "held")):
        estimate = evidence.estimate("judge", key)
        if estimate:
            rows.append([Cell(name), _cell(estimate)])
    for label, value in evidence.table("judge", "by_label").items():
        estimate = estimate_of(value) or (
            estimate_of(value.get("accuracy")) if isinstance(value, dict) else None
        )
        if estimate:
            rows.append([Cell(f"Labelled {wording.VERDICTS.get(label, label)}"), _cell(estimate)])
    caption = "Agreement of the judge with the labels of its test cases"
    return Table(caption, ["Cases", "Agreement"], rows) if rows else None


def ability_table(evidence: Evidence) -> Table | None:
    """What tuning did to the rest of the model."""
    rows = []
    for name, key, kind in (
        ("Perplexity on held-out text (lower is better)", "perplexity", "plain"),
        ("Plain instructions followed", "instructions", "percent"),
    ):
        before, after = (evidence.estimate("ability", f"{key}_{stage}") for stage in ("before", "after"))
        change = evidence.estimate("ability", f"{key}_change")
        if before or after:
            # A change of perplexity is a share of the old one; small ones need their decimals.
            cell = Cell(wording.DASH) if change is None else _change(change)
            rows.append([Cell(name), _cell(before, kind), _cell(after, kind), cell])
    if not rows:
        return None
    return Table("General ability before and after tuning", ["", "Before", "After", "Change"], rows)


def facts_table(caption: str, facts: dict[str, Any]) -> Table | None:
    """Plain facts, nested ones joined; sizes named `…_bytes` become GiB."""
    rows = []
    for name, value in facts.items():
        bare = str(name).removesuffix("_bytes")
        shown = wording.size(number_of(value)) if bare != name else _fact(value)
        if value not in (None, ""):
            rows.append([Cell(wording.humanised(bare)), Cell(shown)])
    return Table(caption, ["", "Value"], rows) if rows else None


def versions_table(manifest: dict[str, Any]) -> Table | None:
    """Candor and the packages that a run was made with."""
    versions = manifest.get("versions")
    packages = versions if isinstance(versions, dict) else {}
    return facts_table("Versions", {"candor": manifest.get("candor"), **packages})


def split_table(evidence: Evidence) -> Table | None:
    """Questions and documents of every split."""
    rows = []
    for name, split in evidence.table("splits").items():
        if isinstance(split, dict):
            counts = (wording.count(number_of(split.get(key))) for key in ("questions", "documents"))
            rows.append([Cell(wording.humanised(name)), *map(Cell, counts)])
    caption = "Split by document: no document is in two splits"
    return Table(caption, ["Split", "Questions", "Documents"], rows) if rows else None


def _cell(estimate: Estimate | None, kind: str = "percent") -> Cell:
    return Cell(wording.shown(estimate, kind), wording.interval(estimate, kind), wording.sized(estimate))


def _change(estimate: Estimate) -> Cell:
    plus = "+" if (estimate.value or 0) > 0 else ""
    text = f"{plus}{wording.percent(estimate.value, 1)}"
    if estimate.low is None or estimate.high is None:
        return Cell(text)
    return Cell(text, f"{wording.percent(estimate.low, 1)} to {wording.percent(estimate.high, 1)}")


def _fact(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{wording.humanised(str(k)).lower()} {_fact(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(_fact(v) for v in value)
    return (
        f"{value:,}"
        if isinstance(value, int) and not isinstance(value, bool) and value > 9999
        else str(value)
    )
