"""Symbols and codes: "Co" is not "CO", and "He" at the start of a sentence is not helium."""

from __future__ import annotations

import re

from candor.judge.text import word_set

_SYMBOL = re.compile(r"^[A-Z][a-z]{0,2}$|^[A-Z]{2,3}$")
_ASKS = re.compile(
    r"\b(?:symbols?|code|abbreviat\w+|formula|letters?|vitamin|element|blood (?:type|group)|notation)\b", re.I
)
_TOKEN = re.compile(r"(?<![\w'-])([A-Z][A-Za-z]{0,2})(?![\w'])(?!-\w)")
# Capitalised words that look like symbols; they count only where a symbol would stand.
_WORDS = word_set(
    "I He In As At No Be Am It So Is A An My We If Of On Or Do By To Go Up Us Me Its The You His Her "
    "Our For And But Not Yes She Was Are Has Had Can Did How Who Why May One Two Any All"
)
_STANDS = re.compile(
    r"\s*(?:$|[.,;:!?)(\"'¦/=-]|(?:or|and|from|for|is the|is its|stands|because|since|as it|after|which)\b)"
)


def is_symbol(gold: str, question: str) -> bool:
    """Whether an accepted answer is a symbol, to be compared with its capitals."""
    return bool(_SYMBOL.match(gold)) and (len(gold) <= 2 or bool(_ASKS.search(question)))


def symbols_in(text: str, longest: int) -> list[str]:
    """Symbols that a text gives as such, in order: words that merely look like one are left out.

    Args:
        text: asserted text with its capitals.
        longest: length of the accepted symbol; one character more is looked at, to see "CO" for "C".
    """
    found = []
    for match in _TOKEN.finditer(text):
        token = match.group(1)
        if len(token) > max(2, longest):
            continue
        if token in _WORDS and not _STANDS.match(text, match.end()):
            continue
        if token in _WORDS and re.match(r",?\s*(?:\bI\b|we\b)", text[match.end() :]) and match.start() == 0:
            continue
        found.append(token)
    return found
