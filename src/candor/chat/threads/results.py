"""What a model did with the cases: rates with intervals, the gap to the controls, and two models compared.

Intervals are 95 %, and go by template: the cases of one template share their words, so a model that fails one
is likely to fail the others. The kinds of correction and the order of mention are balanced within the
templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from candor.chat.threads.case import CATEGORIES, Category
from candor.core.errors import CandorError
from candor.core.statistics import Estimate, paired_difference, proportion
from candor.data.types import Row

Measure = Literal["written", "preferred", "moved", "alone"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
ALL_THREADS = "threads"  # the five categories that need earlier turns, together

Table = dict[str, dict[Measure, Estimate]]


class ThreadRow(Row):
    """One case as a model answered it.

    `margin` is the log-probability of the right reply minus that of the distractor's, in nats, and
    `margin_alone` the same with the earlier turns removed (None for controls, which have none).
    """

    id: str
    template: str
    category: Category
    about: Category
    reply: str
    passed: bool
    margin: float
    margin_alone: float | None

    def measure(self, name: Measure) -> float | None:
        """0, 1, or ½ for a tie; None where the measure has no meaning.

        - `written`: the greedy reply keeps the rules. Chance is near 0: the value has to be written.
        - `preferred`: the right reply is likelier than the distractor's. Chance is ½: cases come in pairs
          in which right and wrong change places.
        - `moved`: the earlier turns made the right reply likelier against the distractor's than it is
          without them, whichever came out ahead. Chance is ½. Finer than `preferred` where a model's
          liking for one value outweighs what it has read.
        - `alone`: as `preferred`, without the earlier turns. Exactly ½ over pairs, for every model.
        """
        if name == "written":
            return float(self.passed)
        if name == "preferred":
            return _sign(self.margin)
        if self.margin_alone is None:
            return None
        return _sign(self.margin_alone) if name == "alone" else _sign(self.margin - self.margin_alone)


@dataclass(frozen=True)
class ThreadResults:
    """One row for each case, in the order of the cases."""

    model: str
    rows: tuple[ThreadRow, ...]

    def rates(self) -> Table:
        """See `rates`."""
        return rates(self.rows)

    def gaps(self) -> Table:
        """See `gaps`."""
        return gaps(self.rows)


def rates(rows: Sequence[ThreadRow]) -> Table:
    """Share of cases in each category, and in the five thread categories together, by measure."""
    return {
        group: {measure: _rate(members, measure) for measure in MEASURES} for group, members in _groups(rows)
    }


def gaps(rows: Sequence[ThreadRow]) -> Table:
    """Controls minus thread cases, paired by template: what is lost when the answer stands in earlier turns.

    Small beside low rates: the model can't do the task. Large: it can, but does not use earlier turns.
    """
    table: Table = {}
    for group, members in _groups(rows):
        if group == "single":
            continue
        table[group] = {}
        for measure in ("written", "preferred"):
            gap = _template_gaps([*members, *_controls_of(rows, group)], measure)
            values = np.array(list(gap.values()))
            table[group][measure] = paired_difference(values, np.zeros(len(values)))
    return table


def compare(before: Sequence[ThreadRow], after: Sequence[ThreadRow]) -> Table:
    """After minus before on the same cases, by category and measure, resampled by template.

    Raises:
        CandorError: the two do not hold the same cases.
    """
    old = {row.id: row for row in before}
    new = {row.id: row for row in after}
    if len(old) != len(before) or len(new) != len(after) or set(old) != set(new):
        missing = sorted(set(old) ^ set(new))[:3]
        raise CandorError(
            f"the two models did not answer the same cases ({len(before)} and {len(after)} rows"
            + (f"; in one only: {', '.join(missing)})" if missing else ", some of them twice)"),
            fix="evaluate both with cases of the same seed and number of rounds",
        )
    table: Table = {}
    for group, members in _groups(before):
        table[group] = {}
        for measure in MEASURES:
            pairs = [
                (earlier, later, row.template)
                for row in members
                if (earlier := row.measure(measure)) is not None
                and (later := new[row.id].measure(measure)) is not None
            ]
            first, second, clusters = ([pair[i] for pair in pairs] for i in range(3))
            table[group][measure] = paired_difference(second, first, clusters or None)
    return table


def _rate(rows: Sequence[ThreadRow], measure: Measure) -> Estimate:
    known = [(value, row.template) for row in rows if (value := row.measure(measure)) is not None]
    return proportion([value for value, _ in known], [template for _, template in known] if known else None)


def _groups(rows: Sequence[ThreadRow]) -> Iterable[tuple[str, list[ThreadRow]]]:
    for category in CATEGORIES:
        members = [row for row in rows if row.category == category]
        if members:
            yield category, members
    threads = [row for row in rows if row.category != "single"]
    if threads:
        yield ALL_THREADS, threads


def _controls_of(rows: Sequence[ThreadRow], group: str) -> list[ThreadRow]:
    return [row for row in rows if row.category == "single" and group in (row.about, ALL_THREADS)]


def _template_gaps(rows: Sequence[ThreadRow], measure: Measure) -> dict[str, float]:
    """Mean of the controls minus mean of the thread cases, for each template that has both."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        value = row.measure(measure)
        if value is not None:
            found.setdefault(row.template, ([], []))[row.category == "single"].append(value)
    return {
        template: float(np.mean(controls) - np.mean(threads))
        for template, (threads, controls) in found.items()
        if threads and controls
    }


def _sign(margin: float) -> float:
    return 0.5 if margin == 0 else float(margin > 0)
