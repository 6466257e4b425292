"""Tables of ways of asking."""

from __future__ import annotations

from typing import Any

from candor.report import wording
from candor.report.evidence import Evidence, estimate_of, number_of
from candor.report.tables import Cell, Table

_CONTEXTS = {
    "neutral": "“Which is larger”",
    "decimal": "“Which decimal number”",
    "version": "“Which software version”",
    "verse": "“Which Bible verse”",
}


def whole(evidence: Evidence) -> list[dict[str, Any]]:
    """Accuracy of tasks and ways, of all kinds together."""
    return [row for row in evidence.rows("accuracy") if not row.get("kind")]


def ways_table(evidence: Evidence) -> Table | None:
    """Right answers by task and way, and the tokens they took."""
    rows = [
        [
            Cell(f"{wording.task_name(str(row.get('task')))}, {row.get('way')}"),
            _cell(row.get("right")),
            _cell(row.get("tokens"), "plain", sized=False),
            _most(row.get("most")),
            Cell(wording.count(number_of(row.get("unread")))),
            Cell(wording.count(number_of(row.get("unfinished")))),
        ]
        for row in whole(evidence)
    ]
    columns = ["Task and way", "Right", "Tokens, mean", "Answer given most", "Not read", "Cut"]
    return Table("Right answers and what they cost", columns, rows) if rows else None


def against_table(evidence: Evidence) -> Table | None:
    """What each way gains over direct."""
    rows = [
        [
            Cell(f"{wording.task_name(str(row.get('task')))}, {row.get('way')}"),
            _cell(row.get("difference"), "points"),
        ]
        for row in evidence.rows("against_direct")
    ]
    columns = ["Task and way", "Points more than direct"]
    return Table("Against asking directly, on the same problems", columns, rows) if rows else None


def explanations_table(evidence: Evidence) -> Table | None:
    """Where explanations of wrong answers end."""
    rows = [
        [
            Cell(wording.task_name(str(row.get("task")))),
            *(_cell(row.get(end)) for end in ("justified", "corrected", "neither")),
        ]
        for row in evidence.rows("explanations")
    ]
    columns = ["Task", "Ends on the wrong answer again", "On the right one", "On neither"]
    caption = "Wrong answers that were then explained: where the explanation ends"
    return Table(caption, columns, rows) if rows else None


def kinds_table(evidence: Evidence) -> Table | None:
    """Right answers by kind of problem."""
    rows = [
        [
            Cell(f"{wording.task_name(str(row.get('task')))}, {row.get('kind')}, {row.get('way')}"),
            _cell(row.get("right")),
        ]
        for row in evidence.rows("accuracy")
        if row.get("kind")
    ]
    return Table("By kind of problem", ["Task, kind and way", "Right"], rows) if rows else None


def budgets_table(evidence: Evidence) -> Table | None:
    """Right answers by tokens allowed."""
    rows = [
        [
            Cell(
                f"{wording.task_name(str(row.get('task')))}, {row.get('way')}, "
                f"{wording.count(number_of(row.get('budget')))}"
            ),
            _cell(row.get("right")),
            Cell(wording.count(number_of(row.get("forced")))),
            Cell(wording.plain(number_of(row.get("tokens")))),
        ]
        for row in evidence.rows("budgets")
    ]
    columns = ["Task, way, tokens allowed", "Right", "Made to answer", "Tokens spent, mean"]
    return Table("By tokens allowed before the answer", columns, rows) if rows else None


def decimals_table(evidence: Evidence) -> Table | None:
    """By context, with the logic that answers go by."""
    rows = [
        [
            Cell(f"{_CONTEXTS.get(str(row.get('context')), str(row.get('context')))}, {row.get('way')}"),
            *(_cell(row.get(key)) for key in ("right", "by_version", "by_number", "first")),
        ]
        for row in evidence.rows("decimals")
    ]
    columns = ["Context and way", "Right", "By version", "By number", "First named"]
    caption = "Pairs such as 9.9 and 9.11; by version and by number where the two differ"
    return Table(caption, columns, rows) if rows else None


def tokenisation_table(evidence: Evidence) -> Table | None:
    """Right answers where numbers are one token and where they are several."""
    words = {"one": "each one token", "several": "one of them several"}
    rows = [
        [
            Cell(
                f"{wording.task_name(str(row.get('task')))}, {row.get('way')}: "
                f"{words.get(str(row.get('pieces')), str(row.get('pieces')))}"
            ),
            _cell(row.get("right")),
        ]
        for row in evidence.rows("tokenisation")
    ]
    caption = "By whether the numbers (or words) asked about are one token or several"
    return Table(caption, ["Task, way and tokens", "Right"], rows) if rows else None


def _most(value: object) -> Cell:
    """The answer given most, and how often; long ones are cut."""
    if not isinstance(value, dict):
        return Cell(wording.DASH)
    said = " ".join(str(value.get("answer")).split())
    return Cell(said[:20] + ("…" if len(said) > 20 else ""), wording.percent(number_of(value.get("share"))))


def _cell(value: object, kind: str = "percent", *, sized: bool = True) -> Cell:
    estimate = estimate_of(value)
    n = wording.sized(estimate) if sized else ""
    return Cell(wording.shown(estimate, kind), wording.interval(estimate, kind), n)
