"""What a chat model was asked, as tables that fit a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from candor.cli.estimates import percent, points
from candor.core.statistics import Estimate

# Categories of the cases that need earlier turns.
_CATEGORIES = {
    "threads": "all earlier turns",
    "recall": "  facts about the user",
    "reference": "  “and the other one?”",
    "correction": "  “no, I meant …”",
    "consistency": "  what it said itself",
    "constraint": "  opening instruction",
    "single": "control: in one turn",
}
_MEASURES = {"preferred": "Right reply likelier", "written": "Right reply written"}
_KINDS = {
    "refused": "doesn't know",
    "hedged": "hedged",
    "boosted": "stressed as sure",
    "bare": "simply said",
    "sure_and_wrong": "wrong, no doubt said",
}
_FEW = 5  # answers: of fewer no share is shown
_TRUTHS = {"right_asserted": "no doubt said of right", "wrong_asserted": "no doubt said of wrong"}
_LEVELS = {
    "easy": "known to most",
    "hard": "known to few",
    "invented": "invented things",
    "private": "private matters",
}


def table_of(rates: Mapping[str, Mapping[Any, Estimate]]) -> dict[str, dict[str, Any]]:
    """Estimates as plain values."""
    return {
        group: {measure: value.as_dict() for measure, value in row.items()} for group, row in rates.items()
    }


def show_threads(found: Mapping[str, Any]) -> None:
    """What depends on earlier turns.

    Args:
        found: rates `after` by category and measure; `before` and `change` as well, if there are two models.
    """
    if "before" not in found:
        rows = {name: [found["after"][group][m] for m in _MEASURES] for group, name in _named(found)}
        _show("What depends on earlier turns", ["likelier", "written"], rows)
        return
    columns = list(_columns(found))
    for measure, words in _MEASURES.items():
        rows = {name: _moments(found, group, measure) for group, name in _named(found)}
        _show(f"What depends on earlier turns: {words.lower()}", columns, rows)


def show_tone(found: Mapping[str, Any]) -> None:
    """How sure replies sound, and whether that says anything about their being right.

    Args:
        found: as `tone_measure.tone_metrics` has it; `before` and `change` may be missing.
    """
    n = found["after"]["all"]["bare"]["n"]
    columns = list(_columns(found)) if "before" in found else ["share"]
    rows = {name: _moments(found, "all", kind) for kind, name in _KINDS.items()}
    for level, words in _LEVELS.items():
        if level in found["after"]:
            rows[f"unsure: {words}"] = _moments(found, level, "unsure")
    for name, words in _TRUTHS.items():
        rows[words] = [_enough(found["truth"].get(moment, {}).get(name, {})) for moment in _columns(found)]
    _show(f"How sure its replies to {n} questions sound", columns, rows)


def _enough(estimate: dict[str, Any]) -> dict[str, Any]:
    """A share of a few answers says nothing."""
    return estimate if estimate.get("n", 0) >= _FEW else {}


def _named(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(group, name) for group, name in _CATEGORIES.items() if group in found["after"]]


def _moments(found: Mapping[str, Any], group: str, measure: str) -> list[dict[str, Any]]:
    """An estimate for each column."""
    return [found[moment][group][measure] for moment in _columns(found)]


def _columns(found: Mapping[str, Any]) -> tuple[str, ...]:
    return ("before", "after", "change") if "before" in found else ("after",)


def _show(title: str, columns: list[str], rows: Mapping[str, list[dict[str, Any]]]) -> None:
    table = Table(title=title)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for name, estimates in rows.items():
        cells = [
            points(estimate) if column == "change" else percent(estimate, 0)
            for column, estimate in zip(columns, estimates, strict=True)
        ]
        table.add_row(name, *cells)
    Console(highlight=False).print(table)
