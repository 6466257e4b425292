"""Choose what to ask about: short answer spans in a passage, found and ranked by rules.

A small model asked to "write a question" asks about nothing in particular. Told the answer, it has one
thing to do. So the answer comes first, and it comes from rules that need no model: dates, quantities,
names (runs of capitalised words) and terms that the text itself introduces ("known as …"). The rules
prefer to miss a span over proposing a bad one: half a pair per passage is plenty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from candor.data.chunks import sentence_spans
from candor.knowledge.questions.names import names

SpanKind = Literal["date", "quantity", "count", "name", "term"]
_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|Jan\.|Feb\.|Aug\.|Sept\.|Oct\.|Nov\.|Dec\.)"
)
_YEAR = r"(?:1[0-9]{3}|20[0-9]{2})"
_DATE = re.compile(
    rf"\b(?:{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? {_YEAR}|\d{{1,2}} {_MONTH},? {_YEAR}|{_MONTH},? {_YEAR}"
    rf"|{_YEAR}(?![\d,.]*\d|[%°]|-\d| ?(?:{_MONTH}|[–-]))|\d{{1,2}}(?:st|nd|rd|th) century(?: (?:BC|AD|BCE|CE))?)\b"  # noqa: E501
)
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_SCALE = r"(?: (?:hundred|thousand|million|billion|trillion))?"
_UNIT = (
    r"(?:percent|per cent|kilometres|kilometers|metres|meters|miles|feet|inches|km²|km|cm|mm|m²|square (?:miles|kilometres"  # noqa: E501
    r"|kilometers|metres|meters|feet)|kilograms|grams|kg|tonnes|tons|pounds|acres|hectares|degrees|°C|°F|K\b"
    r"|years|months|weeks|days|hours|minutes|seconds|mph|km/h|u\b|pm\b|kPa|watts|kW|MW|GW|volts|light years)"
)
_QUANTITY = re.compile(
    rf"(?:(?:US|A|C|NZ)?[$£€¥] ?{_NUMBER}{_SCALE}(?: ?[mb]n?\b)?|(?<![\w.,$£€-]){_NUMBER}{_SCALE}(?:%|[ -]{_UNIT}\b|°[CF]\b))"  # noqa: E501
)
_SPELLED = (
    r"(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    r"|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:-(?:one|two|three|four|five|six|seven|eight|nine))?"
)
_COUNT = re.compile(
    rf"(?<![\w.,$£€#–-])(?:{_NUMBER}{_SCALE}|{_SPELLED}{_SCALE})(?= [a-z]{{3,}})(?! (?:of|and|or|to|more|other|major)\b)"  # noqa: E501
)
_TERM = re.compile(
    r"\b(?:is called|are called|called|known as|termed|referred to as|named|is the|are the)(?: an?| the)? "
    r"[\"“']?((?:[a-z][\w-]+ ){0,2}[a-z][\w-]{3,})[\"”']?(?=[.,;)]| (?:and|which|that|because|in|by|for|to)\b)"  # noqa: E501
)


@dataclass(frozen=True)
class Span:
    """A candidate answer: `text == passage[start:end]`, inside the sentence `passage[sentence]`.

    Attributes:
        start: first character of the answer in the passage.
        end: one past its last character.
        text: the answer.
        kind: which rule found it; the question writer chooses the question word by it.
        sentence: [start, end) of the sentence around it.
        rank: larger is better; see `find_spans`.
    """

    start: int
    end: int
    text: str
    kind: SpanKind
    sentence: tuple[int, int]
    rank: float


def find_spans(text: str, *, title: str = "", limit: int = 8, longest: int = 6) -> list[Span]:
    """The best answer spans of a passage, best first.

    Ranking, by judgement and not by measurement: dates and quantities before names; spans that
    occur once; sentences that name something besides the answer, begin with it, and are of middle length.

    Args:
        text: the passage.
        title: its document's title; spans that repeat it are left out, for they answer every question.
        limit: most spans to return.
        longest: most words in a span.
    """
    places = sentence_spans(text)
    found: list[tuple[int, int, SpanKind]] = []
    taken: list[tuple[int, int]] = []

    def claim(start: int, end: int, kind: SpanKind) -> None:
        if not any(start < b and a < end for a, b in taken):
            taken.append((start, end))
            found.append((start, end, kind))

    for match in _DATE.finditer(text):
        claim(*match.span(), "date")
    for match in _QUANTITY.finditer(text):
        claim(*match.span(), "quantity")
    named = names(text)
    for start, end in named:
        claim(start, end, "name")
    for match in _COUNT.finditer(text):
        claim(*match.span(), "count")
    for match in _TERM.finditer(text):
        claim(*match.span(1), "term")
    spans = []
    title_words = _words(title)
    for start, end, kind in found:
        answer = text[start:end]
        if len(answer.split()) > longest or (_words(answer) and _words(answer) <= title_words):
            continue
        place = next(((a, b) for a, b in places if a <= start and end <= b), None)
        if place is None:
            continue
        rank = _rank(text, start, end, kind, place, named, title_words)
        if rank > 0:
            spans.append(Span(start, end, answer, kind, place, rank))
    spans.sort(key=lambda span: (-span.rank, span.start))
    seen: set[str] = set()
    best = []
    for span in spans:
        if span.text.lower() not in seen:
            seen.add(span.text.lower())
            best.append(span)
    return best[:limit]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _rank(
    text: str,
    start: int,
    end: int,
    kind: SpanKind,
    place: tuple[int, int],
    named: list[tuple[int, int]],
    title_words: set[str],
) -> float:
    """Score of a span, 0 for one not to be asked about."""
    sentence = text[place[0] : place[1]]
    length = len(sentence.split())
    if length < 4 or length > 45:
        return 0.0
    others = [(a, b) for a, b in named if place[0] <= a and b <= place[1] and (b <= start or a >= end)]
    anchored = bool(others) or bool(_words(sentence) & {word for word in title_words if len(word) > 3})
    rank = {"date": 1.0, "quantity": 0.9, "name": 0.8, "count": 0.7, "term": 0.7}[kind]
    if length <= 25:
        rank += 0.3
    if re.match(r"(?:It|He|She|They|This|These|His|Her|Its|Their|Such|That|Those)\b", sentence):
        rank -= 0.4
    if len(re.findall(re.escape(text[start:end]), text)) > 1:
        rank -= 0.2
    # Lists ("A, B, C and D") have no span that is the one answer.
    around = text[max(place[0], start - 40) : min(place[1], end + 40)]
    if around.count(",") >= 3 or re.match(r",? (?:and|or) [A-Z]", text[end : end + 8]):
        rank -= 0.5
    if start < place[0] + 3:
        rank -= 0.1
    if not anchored:
        rank -= 0.5  # its question will have to borrow the title
    return max(rank, 0.05)
