"""Calendar dates in many formats, at the precision they are given."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from candor.judge.quantity import quantities

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = "|".join(f"{m}|{m[:3]}" + ("|sept" if m[0:3] == "sep" else "") for m in _MONTHS)
_ERA = r"(?:\s*(?P<era>bce?|ad|ce)\b)?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{1,4})(?![\d:])(?!(?:st|nd|rd|th)\b)"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b{_DAY}(?: day)?(?: of)?[\s-]+(?P<month>{_MONTH})\b(?:,?(?: of)?[\s-]+{_YEAR}{_ERA})?",
        rf"\b(?P<month>{_MONTH})\b\s+(?:the )?{_DAY}\b(?:(?:,| of)?\s+{_YEAR}{_ERA})?",
        rf"\b(?P<month>{_MONTH})\b,?(?: of)?\s+(?P<year>\d{{3,4}})\b{_ERA}",
        r"\b(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})\b",
        r"\b(?P<first>\d{1,2})[/.-](?P<second>\d{1,2})[/.-](?P<year>\d{4})\b",
        r"\bad (?P<year>\d{1,4})\b(?P<era>)",
        r"(?<![\d,.$£€])\b(?P<year>\d{1,4})\s*(?P<era>bce?|ad|ce)\b",
        r"(?<![\d,.$£€/-])(?P<year>1\d{3}|20\d{2}|[3-9]\d\d)\b(?![,.]?\d|%|/)",
        r"(?<=[-/])(?P<year>1\d{3}|20\d{2})\b(?![,.]?\d|%|/)",
        r"(?<![\w'])'(?P<short>\d{2})\b(?!')",
    )
)
_WHEN = re.compile(r"\b(?:when|year|years|date|day|century|since|month)\b", re.I)
_APPROXIMATE = re.compile(r"^\s*(?:about|around|approximately|circa|ca|c|in|on|roughly)\b\.?\s*")


@dataclass(frozen=True)
class Moment:
    """A date: fields that were not given are None; years before the common era are negative."""

    year: int | None
    month: int | None
    day: int | None
    start: int
    end: int
    swapped: bool = False  # 3/4/1990 may be read either way
    short: bool = False  # '12

    def covers(self, gold: Moment, *, year_is_enough: bool, tolerance: float = 0.0) -> bool:
        """Whether this date gives everything the gold gives and contradicts none of it.

        A less precise date than the gold is not accepted ("1879" for "14 March 1879"), unless the
        question asks for the year only.
        """
        if gold.year is not None:
            if self.year is None:
                return False
            if self.short:
                return gold.month is None and gold.year % 100 == self.year
            if abs(self.year - gold.year) > tolerance * abs(gold.year):
                return False
        if year_is_enough and gold.year is not None and self.month is None:
            return True
        same = (gold.month is None or gold.month == self.month) and (gold.day is None or gold.day == self.day)
        turned = self.swapped and gold.month == self.day and (gold.day is None or gold.day == self.month)
        return same or turned


def moments(text: str) -> list[Moment]:
    """Every date in the text, in order: the longest reading at each place."""
    lowered = text.lower() if len(text.lower()) == len(text) else text
    taken: list[Moment] = []
    for pattern in _PATTERNS:
        for match in pattern.finditer(lowered):
            start, end = match.span()
            if any(start < other.end and other.start < end for other in taken):
                continue
            moment = _moment(match.groupdict(), start, end)
            if moment is not None:
                taken.append(moment)
    for quantity in quantities(lowered):
        word_year = quantity.value.is_integer() and 1000 <= quantity.value <= 2100 and not quantity.unit
        if not word_year or not lowered[quantity.start].isalpha():  # nineteen twelve
            continue
        if not any(other.start < quantity.end and quantity.start < other.end for other in taken):
            taken.append(Moment(int(quantity.value), None, None, quantity.start, quantity.end))
    return sorted(taken, key=lambda moment: moment.start)


def _moment(fields: dict[str, str | None], start: int, end: int) -> Moment | None:
    if fields.get("short"):
        return Moment(int(fields["short"] or 0), None, None, start, end, short=True)
    year = int(written) if (written := fields.get("year")) else None
    if year is not None and (fields.get("era") or "").startswith("bc"):
        year = -year
    if fields.get("first"):
        day, month = int(fields["first"] or 0), int(fields["second"] or 0)
        if month > 12:
            return Moment(year, day, month, start, end) if day <= 12 else None
        return Moment(year, month, day, start, end, swapped=day <= 12)
    name = fields.get("month")
    month = None
    if name:
        month = (
            int(name) if name.isdigit() else next(i for i, m in enumerate(_MONTHS, 1) if m[:3] == name[:3])
        )
    day = int(written) if (written := fields.get("day")) else None
    return Moment(year, month, day, start, end)


@lru_cache(maxsize=8192)
def gold_moment(gold: str, question: str) -> tuple[Moment, bool] | None:
    """Read a gold answer that is a date; a bare number only where the question asks for a time.

    Returns:
        The date and whether the gold calls itself approximate; None when the gold is not a date.
    """
    lowered = re.sub(r"\b([bcade]{1,2})\.([ecd])\.?(?:e\.?)?", r"\1\2", gold.lower()).strip(" .")
    stripped = re.sub(r",?\s*\butc\b|^(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+", "", lowered)
    rest = _APPROXIMATE.sub("", stripped)
    found = moments(rest)
    if len(found) != 1 or found[0].start > 0 or len(rest) - found[0].end > 2:
        return None
    moment = found[0]
    bare = moment.month is None and "bc" not in lowered and "ad" not in lowered and "ce" not in lowered
    if moment.short or (bare and not _WHEN.search(question)):
        return None
    return moment, bool(re.match(r"\s*(?:about|around|approx|circa|ca\b|c\b|roughly)", lowered))
