"""Parts of a place by direction: "Eastern Europe" is in Europe, but South Africa is not Africa."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from candor.judge.places import COUNTRIES
from candor.judge.text import fold

_COMPASS = r"(?:north|south)[- ]?(?:east|west)|north|south|east|west|central"
_CONTINENTS = {
    "africa": "african",
    "asia": "asian",
    "europe": "european",
    "oceania": "oceanian",
    "antarctica": "antarctic",
    "north america": "north american",
    "south america": "south american",
}
_WITHIN = (
    rf"\b(?:in|on|at) the (?:far |extreme )?(?:{_COMPASS})(?:ern)?(?:most)?"
    r"(?: (?:part|region|half|corner|area|side|end|tip|coast|province|state|district))?s? of (?:the )?"
)


def inside(answers: Sequence[str], text: str) -> str:
    """ "in the south-east of Italy" becomes "in Italy", where Italy is an accepted answer."""
    places = "|".join(re.escape(answer) for answer in answers if answer[:1].isupper())
    return re.sub(rf"{_WITHIN}(?={places})", "in ", text, flags=re.IGNORECASE) if places else text


def whole_place(answer: str, claim: str) -> str:
    """The claim with parts of the accepted place named by direction replaced by the place itself.

    "in northern Italy" is in Italy; "East Africa" and "the African continent" are Africa. A direction that
    makes another place of the name stays: South Africa, Northern Ireland, West Virginia. "North of Italy"
    stays too: it is outside.

    Args:
        answer: the accepted answer.
        claim: what the response asserts.
    """
    if not answer[:1].isupper():
        return claim
    pattern, adjective = _patterns(answer)
    claim = pattern.sub(lambda match: match[0] if fold(match[0]) in COUNTRIES else match["place"], claim)
    return adjective.sub(answer, claim) if adjective else claim


@lru_cache(maxsize=1024)
def _patterns(answer: str) -> tuple[re.Pattern[str], re.Pattern[str] | None]:
    name = fold(answer)
    continent = _CONTINENTS.get(name)
    # "West Virginia" is no part of Virginia, but "West Africa" is of Africa, as continents go.
    parts = rf"(?:{_COMPASS})(?:ern)?" if continent else rf"(?:(?:{_COMPASS})ern)"
    # "America" is part of two continents' names: a direction says which.
    place = re.compile(rf"\b{parts}[- ](?P<place>{re.escape(answer)})\b", re.IGNORECASE)
    if continent is None:
        return place, None
    return place, re.compile(rf"\b{continent} (?:continent|mainland)\b", re.IGNORECASE)
