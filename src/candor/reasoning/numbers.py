"""Numbers as people and models write them, read exactly: no floats, and nothing is ever evaluated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_NUMBER = re.compile(_DIGITS)
_SIGNS = "-−–"
_UNITS = r"(?:\s*(?:%|percent|dollars?|cents?|euros?|pounds?|USD|EUR|GBP|[$€£¥₹]))?"
_WHOLE = re.compile(rf"([{_SIGNS}+]?)\s*[$€£¥₹]?\s*([{_SIGNS}]?)({_DIGITS}){_UNITS}\s*\.?", re.IGNORECASE)
_RATIO = re.compile(rf"([{_SIGNS}]?)([0-9]+)\s*/\s*([0-9]+)")
_MARKUP = re.compile(r"\*\*|__|`|\\boxed\{|\\text\{|\\[()\[\]]|[{}]|\$(?![0-9])")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")
# What stands behind a left operand, and before a right one: then a number is a part of a calculation.
_BEFORE_MORE = re.compile(rf"\s*(?:[+*/×÷·^=]|[{_SIGNS}x]\s*[0-9(]|(?:plus|minus|times|divided by)\b)")
_AFTER_MORE = re.compile(
    rf"(?:[+*/×÷·^]|[0-9)]\s*[{_SIGNS}]|[0-9)]\s*x|\b(?:plus|minus|times|divided by))\s*$"
)
_LONGEST = 1000  # digits; Python refuses to read much longer ones


def value_of(text: str) -> Fraction | None:
    """The number that a text is, or None if it is something else.

    Commas between thousands, signs and words of currency, percent signs, trailing zeros, a full stop and
    markup around it make no difference: "$1,234.50." is 2469/2. "3/4" is a number, too.
    """
    bare = _MARKUP.sub("", text).strip().strip("\"'“”")
    if len(bare) > _LONGEST:
        return None
    if ratio := _RATIO.fullmatch(bare):
        bottom = int(ratio[3])
        return Fraction(int(ratio[2]), bottom) * (-1 if ratio[1] else 1) if bottom else None
    whole = _WHOLE.fullmatch(bare)
    if whole is None:
        return None
    minus = any(sign and sign in _SIGNS for sign in (whole[1], whole[2]))
    return Fraction(whole[3].replace(",", "")) * (-1 if minus else 1)


def stated(text: str) -> str | None:
    """The last number that a text states, or None.

    What is asked ("What is 12 + 34?") and what is still to be calculated ("12 + 34 =") states nothing; of
    "12 + 34 = 46" it is 46.
    """
    found = list(statements(text))
    return found[-1] if found else None


def statements(text: str) -> Iterator[str]:
    """Yield every number that a text states, in order; see `stated`."""
    for sentence in _SENTENCE.split(_MARKUP.sub("", text)):
        if sentence.rstrip().endswith("?"):
            continue
        for match in _NUMBER.finditer(sentence):
            before, after = sentence[: match.start()], sentence[match.end() :]
            inside = re.match(r"[A-Za-z_]", after) and not re.match(r"(?:st|nd|rd|th|x)\b", after)
            if inside or re.search(r"[A-Za-z_]$", before):
                continue  # a part of a name
            if _BEFORE_MORE.match(after) or _AFTER_MORE.search(before):
                continue
            signed = before.endswith(tuple(_SIGNS)) and not re.search(r"[\w.]$", before[:-1])
            yield ("-" if signed else "") + match[0]


def number_in(text: str) -> Fraction | None:
    """The number that an answer gives: the text's if it is one, else what its first line that states any
    states last; None if there is none."""
    if (whole := value_of(text)) is not None:
        return whole
    for line in text.splitlines():
        if (number := stated(line)) is not None:
            return value_of(number)
    return None


def same_number(answer: str, right: str) -> bool:
    """Whether an answer gives exactly this number."""
    number = number_in(answer)
    return number is not None and number == value_of(right)


def shortest(value: Fraction | int) -> str:
    """A number in its shortest form: "12", "-0.5", and "1/3" where decimals don't end."""
    value = Fraction(value)
    twos = fives = 0
    bottom = value.denominator
    while bottom % 2 == 0:
        bottom, twos = bottom // 2, twos + 1
    while bottom % 5 == 0:
        bottom, fives = bottom // 5, fives + 1
    if bottom != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    text = digits[: len(digits) - places] + (f".{digits[-places:]}" if places else "")
    return f"-{text}" if value < 0 else text
