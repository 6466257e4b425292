"""Numbers in digits and words, with units, and when two of them agree."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import lru_cache

from candor.judge.text import word_list
from candor.judge.units import UNITS, Unit, read_unit

_ONES = word_list(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_CARDINALS = {word: n for n, word in enumerate(_ONES)} | {w: 10 * n for n, w in enumerate(_TENS, start=2)}
_CARDINALS |= {"fourty": 40}
_ORDINALS = {
    word: n
    for n, word in enumerate(
        word_list(
            "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
            "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
        )
    )
} | {word[:-1] + "ieth": 10 * n for n, word in enumerate(_TENS, start=2)}
_ORDINALS |= {"hundredth": 100, "thousandth": 1000}
_DECADES = {w[:-1] + "ies": 10 * n for n, w in enumerate(_TENS, start=2)}

_NUMBER_WORD = "|".join(sorted({*_CARDINALS, *_ORDINALS, *_SCALES, *_DECADES}, key=len, reverse=True))
_WORDS = re.compile(
    rf"\b(?:(?P<sign>minus|negative) )?(?P<words>(?:a )?(?:{_NUMBER_WORD})"
    rf"(?:(?:[\s-]+and[\s-]+|[\s-]+)(?:{_NUMBER_WORD}))*)\b"
)
_DIGITS = re.compile(
    r"(?P<sign>(?<![\w.)])[-+]|\bminus |\bnegative )?(?P<currency>(?:us|a|c)?[$£€¥]\s?)?"
    r"(?<![\d.,/#])(?<![a-z])"
    r"(?P<body>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?: \d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?![,.]?\d)"
    r"(?:/(?P<denominator>\d+)(?![/\d]))?(?P<ordinal>st|nd|rd|th)?(?P<decade>'?s\b)?"
    r"(?P<scale>[\s-]*(?:hundred|thousand|million|billion|trillion|bn|mn)\b)?"
)
_APPROXIMATE = re.compile(
    r"^\s*(?:(?:about|around|approximately|approx|roughly|nearly|almost|circa|ca|c|an estimated|estimated"
    r"|some|over"
    r"|more than|just over|just under|close to|between)\b\.?|~|≈)\s*"
)
_NOT_COUNTS = re.compile(r"\b(?:no|this|that|which|the|any|some|every|each|another) $")


@dataclass(frozen=True)
class Quantity:
    """A number in a text: [start, end) in characters, `decimals` as written after scaling."""

    value: float
    start: int
    end: int
    unit: Unit | None = None
    ordinal: bool = False
    step: float = 1.0  # the last written digit's worth

    @property
    def base(self) -> float:
        """The value in its dimension's base unit."""
        return self.value if self.unit is None else self.value * self.unit.factor + self.unit.offset


def _words_value(text: str) -> tuple[float, bool] | None:
    """Value of a run of number words, and whether it is an ordinal; years read in pairs (nineteen twelve)."""
    parts = [p for p in re.split(r"[\s-]+", text) if p not in ("and", "a")]
    ordinal = parts[-1] in _ORDINALS
    total, group = 0, 0
    previous = 0  # size of the last part, to see illegal sequences
    for part in parts:
        if part in _SCALES:
            scale = _SCALES[part]
            if scale == 100:
                group = (group or 1) * 100
                if group > 10**15:  # "hundred hundred hundred …"
                    return None
            else:
                total, group = total + (group or 1) * scale, 0
            previous = scale
            continue
        value = _CARDINALS.get(part, _ORDINALS.get(part, -1))
        if value < 0:
            return None
        if 0 < previous < 100 and not (previous >= 20 and previous % 10 == 0 and value < 10):
            if 10 <= group <= 20 and value >= 10 and total == 0:
                group, previous = group * 100 + value, value
                continue
            return None
        group, previous = group + value, value
    return float(total + group), ordinal


def quantities(text: str) -> list[Quantity]:
    """Every number in the text, in order, with the unit that follows it (or its currency sign)."""
    lowered = text.lower() if len(text.lower()) == len(text) else text
    found: list[Quantity] = []
    for match in _DIGITS.finditer(lowered):
        body = match["body"].replace(",", "").replace(" ", "")
        value, step = float(body), 10.0 ** -len(body.partition(".")[2])
        if match["denominator"]:
            value, step = value / max(float(match["denominator"]), 1e-9), 1e-6
        elif "." not in body and value:
            step = 10.0 ** min(300, len(body) - len(body.rstrip("0"))) if value >= 10 else 1.0
        if match["scale"]:
            scale = {"bn": 10**9, "mn": 10**6} | _SCALES
            factor = scale[match["scale"].strip(" -")]
            value, step = value * factor, step * factor
        if match["sign"] and match["sign"].strip() != "+":
            value = -value
        end = match.end()
        unit = UNITS.get(match["currency"].strip()[-1]) if match["currency"] else None
        if match["decade"]:
            unit = UNITS["decade"]
        elif unit is None:
            unit, end = read_unit(lowered, end)
        found.append(Quantity(value, match.start(), end, unit, bool(match["ordinal"]), step))
    if re.search(rf"\b(?:{_NUMBER_WORD})\b", lowered):
        found += _worded(lowered)
    return sorted(found, key=lambda quantity: quantity.start)


def _worded(lowered: str) -> list[Quantity]:
    found = []
    for match in _WORDS.finditer(lowered):
        run = match["words"]
        after = lowered[match.end() : match.end() + 4]
        if run == "one" and (after.startswith(" of") or _NOT_COUNTS.search(lowered[: match.start()])):
            continue
        if run in _DECADES:
            found.append(Quantity(float(_DECADES[run]), match.start(), match.end(), UNITS["decade"]))
            continue
        before = re.search(r"\d[\s-]*$", lowered[: match.start()])
        if before or (parsed := _words_value(run)) is None:
            continue
        value, ordinal = parsed
        unit, end = read_unit(lowered, match.end())
        found.append(
            Quantity(-value if match["sign"] else value, match.start(), end, unit, ordinal, step=1.0)
        )
    return found


@lru_cache(maxsize=8192)
def gold_quantity(gold: str) -> tuple[Quantity, bool] | None:
    """Read a gold answer that is a number, alone or with a unit or one counted noun ("one season").

    Returns:
        The quantity and whether the gold calls itself approximate; None when the gold is not a number
        ("Apollo 11", "7 Eleven").
    """
    lowered = gold.lower().strip(" .").removeprefix("the ")
    rest = _APPROXIMATE.sub("", lowered)
    found = quantities(rest)
    if not found or found[0].start > 0 or len(found) > 1:
        return None
    tail = rest[found[0].end :].strip(" .,")
    if len(tail.split()) > 2 or re.search(r"[A-Z]", gold[-len(tail) :] if tail else ""):
        return None
    return found[0], rest != lowered


def unit_asked(question: str) -> Unit | None:
    """The unit a question asks for: "how many metres", "in degrees Celsius"."""
    for match in re.finditer(r"\bhow many\b|\bin\b", question.lower()):
        unit, _ = read_unit(question.lower(), match.end())
        if unit is not None:
            return unit
    return None


def agree(gold: Quantity, given: Quantity, *, approximate: bool, asked: Unit | None) -> bool:
    """Whether a given number is the gold number.

    Counts, ordinals, years and atomic numbers must be exact. A gold that calls itself approximate allows
    5 %. A measured gold (one with a unit) allows 0.5 % after conversion between units, and a more precise
    value that rounds to it. Another dimension, or the same number in another unit, is wrong; a missing
    unit is forgiven.
    """
    unit = gold.unit or (asked if given.unit and asked and asked.dimension == given.unit.dimension else None)
    if unit is not None and unit.dimension == "decade":
        return (
            given.unit is not None
            and given.unit.dimension == "decade"
            and (gold.value - given.value) % 100 == 0
        )
    gold = replace(gold, unit=unit)
    if gold.unit is None or given.unit is None:
        wanted, value = gold.value, given.value
    elif gold.unit.dimension != given.unit.dimension:
        return False
    elif gold.unit == given.unit:
        wanted, value = gold.value, given.value
    else:
        wanted, value = gold.base, given.base
        if math.isclose(wanted, value, rel_tol=0.005):
            return True
    if math.isclose(wanted, value, rel_tol=1e-9):
        return True
    if approximate and math.isclose(wanted, value, rel_tol=0.05):
        return True
    finer = gold.unit is not None and given.step < gold.step
    return finer and abs(wanted - value) <= gold.step / 2 and math.isclose(wanted, value, rel_tol=0.02)
