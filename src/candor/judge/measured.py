"""Accepted answers that are numbers or dates: which of a response's is its answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from candor.judge import dates, quantity
from candor.judge.text import content_stems

_YEAR_ASKED = re.compile(r"\b(?:what|which|the) year\b|\byear\b", re.I)
_END_ASKED = re.compile(r"\b(?:end|ended|finish|finished|until|die|died|last|close|closed)\b", re.I)
_SEGMENT = re.compile(r"[,;.()¦]|\s+(?:and|but|while|whereas)\s+")
_OR_BETWEEN = re.compile(r"^\s*(?:,?\s*or|/|,?\s*maybe|,?\s*perhaps)\s*(?:in |on |about |the )*$")


def date_given(question: str, gold: dates.Moment, approximate: bool, claim: str) -> bool:
    """Whether the date that the claim settles on covers the accepted one."""
    found = dates.moments(claim)
    asked = dates.moments(question)
    fresh = [
        m for m in found if (m.year, m.month, m.day) not in {(a.year, a.month, a.day) for a in asked}
    ] or found
    if gold.year is None or gold.month is not None:
        fresh = [m for m in fresh if m.month is not None] or fresh
    if not fresh and gold.year is not None and gold.month is None and gold.year > 0:
        numbers = [q for q in quantity.quantities(claim) if q.value == gold.year]
        return bool(numbers)
    if not fresh:
        return False
    year_only = bool(_YEAR_ASKED.search(question))
    chosen = _choose(question, claim, [(m.start, m.end) for m in fresh])
    tolerance = 0.01 if approximate else 0.0
    return all(fresh[i].covers(gold, year_is_enough=year_only, tolerance=tolerance) for i in chosen)


def number_given(
    question: str, answers: Sequence[str], gold: quantity.Quantity, approximate: bool, claim: str
) -> bool:
    """Whether the number that the claim settles on agrees with an accepted one, units and all."""
    found = quantity.quantities(claim)
    asked_values = {q.value for q in quantity.quantities(question)}
    fresh = [q for q in found if q.value not in asked_values] or found
    if not gold.ordinal:
        fresh = [q for q in fresh if not q.ordinal or (q.unit and q.unit == gold.unit)] or fresh
    if gold.unit is not None:
        same = [q for q in fresh if q.unit is not None and q.unit.dimension == gold.unit.dimension]
        fresh = same or fresh
    if not fresh:
        return False
    unit = quantity.unit_asked(question)
    golds = [g for answer in answers if (g := quantity.gold_quantity(answer))]
    chosen = _choose(question, claim, [(q.start, q.end) for q in fresh])
    return all(
        any(
            quantity.agree(g, fresh[i], approximate=a or approximate, asked=unit)
            for g, a in golds or [(gold, approximate)]
        )
        for i in chosen
    )


def _choose(question: str, claim: str, spans: Sequence[tuple[int, int]]) -> list[int]:
    """Indices of the candidate the response settles on; two when it leaves the choice open ("10 or 11")."""
    scores = _segment_scores(question, claim, [start for start, _ in spans])
    best = max(scores)
    tied = [i for i, score in enumerate(scores) if score == best]
    chosen = tied[0]
    if len(tied) > 1:
        between = claim[spans[tied[0]][1] : spans[tied[1]][0]]
        if re.fullmatch(r"\s*(?:to|until|till|through|-|and)\s*", between) and _END_ASKED.search(question):
            chosen = tied[1]
    open_choice = [chosen]
    for i in (chosen - 1, chosen + 1):
        if 0 <= i < len(spans):
            left, right = sorted((chosen, i))
            if _OR_BETWEEN.match(claim[spans[left][1] : spans[right][0]]):
                open_choice.append(i)
    return open_choice


def _segment_scores(question: str, claim: str, starts: Sequence[int]) -> list[int]:
    """For each place, how many of the question's content words stand in its clause (and in clauses before
    it that hold no candidate).
    """
    asked = content_stems(question)
    bounds = [0, *(m.end() for m in _SEGMENT.finditer(claim)), len(claim)]
    scores: list[int] = []
    carried: frozenset[str] = frozenset()
    seen: set[int] = set()
    by_segment: dict[int, int] = {}
    for i in range(len(bounds) - 1):
        inside = [s for s in starts if bounds[i] <= s < bounds[i + 1]]
        carried = carried | (content_stems(claim[bounds[i] : bounds[i + 1]]) & asked)
        if inside:
            for s in inside:
                by_segment[s] = len(carried)
                seen.add(s)
            carried = frozenset()
    scores = [by_segment.get(s, 0) for s in starts]
    return scores
