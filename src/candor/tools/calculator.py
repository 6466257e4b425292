"""A calculator: exact results where decimals can say them, rounded ones elsewhere, errors in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

from candor.tools.expression import ExpressionError, evaluate

# Significant digits of a result that no decimal of `LONGEST` digits says exactly; a whole part that has more
# keeps all of its own.
SIGNIFICANT = 12
# Digits of a result. A whole number of more is an error; digits behind the point are rounded.
LONGEST = 60


@dataclass(frozen=True)
class Calculator:
    """A tool that computes: `<calc>12 * (3 + 4)</calc><result>84</result>`."""

    name: str = "calculator"
    opening: str = "<calc>"
    closing: str = "</calc>"
    result_opening: str = "<result>"
    result_closing: str = "</result>"

    @classmethod
    def by_tokens(cls) -> Calculator:
        """The calculator of a model that has tokens of their own for its marks."""
        return cls(
            opening="<|calc|>",
            closing="<|/calc|>",
            result_opening="<|result|>",
            result_closing="<|/result|>",
        )

    def run(self, text: str) -> str:
        """See `calculate`."""
        return calculate(text)


def calculate(text: str) -> str:
    """The value of an arithmetic expression as text, or "error: …"; raises nothing, whatever the text is.

    Results that end are exact up to 60 digits (`0.1 + 0.2` is 0.3). Others are rounded to 12 significant
    digits, or to the nearest whole number where that has more, halves to even; below 1e-20 with a power of
    ten (3.33333333333e-31). `candor.tools.expression` says what is read, and what the limits are.
    """
    try:
        return written(evaluate(text))
    except ExpressionError as error:
        return f"error: {error}"


def written(value: Fraction) -> str:
    """A number as the calculator writes it.

    Raises:
        ExpressionError: its whole part has more than 60 digits.
    """
    whole = len(str(abs(value.numerator) // value.denominator))
    if whole > LONGEST:
        raise ExpressionError(f"a result of more than {LONGEST} digits")
    places = _places(value.denominator)
    if places is not None and whole + places <= LONGEST:
        exact = str(abs(value.numerator) * 10**places // value.denominator).zfill(places + 1)
        point = len(exact) - places
        digits = f"{exact[:point]}.{exact[point:]}" if places else exact
        return f"-{digits}" if value < 0 else digits
    context = Context(prec=max(SIGNIFICANT, whole), rounding=ROUND_HALF_EVEN)
    rounded = context.divide(Decimal(value.numerator), Decimal(value.denominator))
    if rounded and rounded.adjusted() < -20:
        return f"{rounded.normalize(context):e}"
    plain = f"{rounded:f}"
    return plain.rstrip("0").removesuffix(".") if "." in plain else plain


def _places(denominator: int) -> int | None:
    """Decimal places of a fraction in lowest terms; None where it never ends."""
    twos = fives = 0
    while denominator % 2 == 0:
        denominator //= 2
        twos += 1
    while denominator % 5 == 0:
        denominator //= 5
        fives += 1
    return max(twos, fives) if denominator == 1 else None
