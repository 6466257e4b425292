"""Two runs of one kind side by side: what was asked differently, and what came out differently.

Two measures are called apart when their intervals do not meet: each value then lies beyond the other's
interval, too. That is stricter than a test of the difference at the same level. For independent normal
estimates with half-widths a and b, 95% intervals of equal values fail to meet with probability
2 Φ(-1.96 (a + b) / √(a² + b²)), between 0.6% (equal widths) and 5% (one width is nothing). See Schenker and
Gentleman, On judging the significance of differences by examining the overlap between confidence intervals
(The American Statistician, 2001).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from candor.core.recipe import changed
from candor.core.statistics import Estimate
from candor.report import wording
from candor.report.evidence import estimate_of

MAX_MEASURES = 2_000
# Not results: costs have a table of their own, and these are records.
_NO_RESULTS = {"timings", "peak_memory_bytes", "commands", "seed", "samples", "replies"}
_NAMES = ("name", "arm", "source", "label", "task", "way", "kind", "times", "layer", "split", "budget")
_NORMAL_95 = 1.959963984540054
Verdict = Literal["apart", "overlap", "no interval", "one only"]


@dataclass(frozen=True)
class Measure:
    """One number of metrics.json in both runs.

    Attributes:
        keys: its path there, lists by the names of their rows.
        one, other: its estimates; None where a run lacks it.
    """

    keys: tuple[str, ...]
    one: Estimate | None
    other: Estimate | None

    @property
    def group(self) -> str:
        """The part of the results that it belongs to."""
        return wording.humanised(self.keys[0])

    @property
    def label(self) -> str:
        """What it is, within its group."""
        return " › ".join(map(wording.humanised, self.keys[1:])) or self.group

    @property
    def verdict(self) -> Verdict:
        """Whether the intervals meet."""
        if self.one is None or self.other is None:
            return "one only"
        low, high, other_low, other_high = self.one.low, self.one.high, self.other.low, self.other.high
        if low is None or high is None or other_low is None or other_high is None:
            return "no interval"
        # A bootstrap of items that are all alike has no width: too few were seen, not everything known.
        if low == high or other_low == other_high:
            return "no interval"
        return "apart" if high < other_low or other_high < low else "overlap"

    @property
    def words(self) -> str:
        """The verdict for people, with its direction."""
        if self.verdict == "apart":
            higher = ((self.other and self.other.value) or 0.0) > ((self.one and self.one.value) or 0.0)
            return f"beyond both intervals, {'higher' if higher else 'lower'}"
        return {
            "overlap": "not told apart: they overlap",
            "no interval": "no interval, or one without width",
            "one only": "in one run only",
        }[self.verdict]

    @property
    def by_chance(self) -> float:
        """Probability that the intervals would not meet if nothing differed and the runs were independent."""
        if self.verdict not in ("apart", "overlap") or self.one is None or self.other is None:
            return 0.0
        a, b = (((found.high or 0.0) - (found.low or 0.0)) / 2 for found in (self.one, self.other))
        return math.erfc(_NORMAL_95 * (a + b) / math.sqrt(a * a + b * b) / math.sqrt(2))

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        one, other = (found.as_dict() if found else None for found in (self.one, self.other))
        return {"keys": list(self.keys), "one": one, "other": other, "verdict": self.verdict}


@dataclass(frozen=True)
class Setting:
    """A value that differs: of a recipe, of the versions, of an input."""

    key: str
    one: str
    other: str


def measures(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Measure]:
    """Every number that either run measured, in the order of the first one's metrics.json."""
    first, second = dict(_estimates(one)), dict(_estimates(other))
    keys = list(dict.fromkeys([*first, *second]))[:MAX_MEASURES]
    found = [Measure(key, first.get(key), second.get(key)) for key in keys]
    groups = list(dict.fromkeys(measure.keys[0] for measure in found))
    return sorted(found, key=lambda measure: groups.index(measure.keys[0]))  # parts that are apart, together


def settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Setting]:
    """What differs between two tables as TOML or JSON have them."""
    return [Setting(key, _shown(a), _shown(b)) for key, a, b in changed(dict(one), dict(other))[:500]]


def _estimates(metrics: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Estimate]]:
    for name, value in metrics.items():
        if name not in _NO_RESULTS:
            yield from _below((str(name),), value)


def _below(keys: tuple[str, ...], value: object) -> Iterator[tuple[tuple[str, ...], Estimate]]:
    if len(keys) > 8:
        return
    found = estimate_of(value)
    if found is not None:
        yield keys, found
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _below((*keys, str(name)), inner)
    elif isinstance(value, list):
        for name, row in _named(value):
            yield from _below((*keys, name), row)


def _named(rows: list[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows by what names them, so that the same row is found in a list of another order.

    A list without names (of points, of samples) is no list of measures.
    """
    tables = [row for row in rows if isinstance(row, Mapping)]
    # As many of the names as it takes: a task asked in two ways is two rows.
    used = [key for key in _NAMES if all(isinstance(row.get(key), str | int) for row in tables)]
    named = [", ".join(str(row[key]) for key in used) for row in tables]
    if tables and used and len(set(named)) == len(tables):
        for name, row in zip(named, tables, strict=True):
            yield name[:120], {key: value for key, value in row.items() if key not in used}


def _shown(value: object) -> str:
    try:
        text = "not set" if value is None else str(value)
    except ValueError:  # TOML can write whole numbers in hexadecimal that Python won't in decimal
        text = "a number of thousands of digits"
    return text if len(text) <= 300 else text[:300] + " …"
