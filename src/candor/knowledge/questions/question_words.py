"""The words that a question begins with: who, in what year, which university."""

from __future__ import annotations

import re

from candor.knowledge.questions.forms import Context
from candor.knowledge.questions.words import CLASS_NOUNS, COUNTRIES, looks_like_person, looks_like_place


def _time_phrase(preposition: str, answer: str) -> str | None:
    preposition = preposition.lower()
    if re.search(r"century", answer):
        return (
            f"{preposition} which century" if preposition in ("in", "during", "since", "from", "by") else None
        )
    if re.fullmatch(r"\d{4}", answer):
        return {
            "in": "in what year",
            "since": "since what year",
            "by": "by what year",
            "until": "until what year",
            "from": "from what year",
            "during": "in what year",
            "after": None,
            "before": None,
        }.get(preposition)
    if re.match(r"(?:\d{1,2} )?[A-Z]\w+\.? (?:\d{1,2},? )?\d{4}", answer):
        day = re.search(r"\d{1,2},? \d{4}|^\d{1,2} ", answer)
        noun = "date" if day else "month and year"
        return {
            "in": f"in what {noun}",
            "on": "on what date",
            "since": "since when",
            "until": "until when",
        }.get(preposition)
    return None


def kind_of_name(context: Context) -> str:
    """Person, place or thing: what a model said, else what rules guess."""
    name = context.span.text
    if context.who:
        return context.who
    if looks_like_person(name, context.text):
        return "person"
    return "place" if looks_like_place(name, context.text) else "thing"


def name_word(context: Context) -> str | None:
    """Who, what or which <class> for a name; None for a place, which each rule asks for in its own way."""
    name = context.span.text
    if name.removeprefix("the ") in COUNTRIES:
        return "which country"
    parts = re.split(r" (?:of|for|in) ", name)
    heads = [name.split()[-1].lower()]
    if len(parts) == 2 and (len(parts[1].split()) != 2 or parts[1].startswith("the ")):
        heads.append(parts[0].split()[-1].lower())  # not of "University of Chicago Press"
    for head in heads:
        if len(name.split()) > 1 and (
            head in CLASS_NOUNS or (head.endswith("s") and head[:-1] in CLASS_NOUNS)
        ):
            return f"which {head}"
    return {"person": "who", "place": None}.get(kind_of_name(context), "what")


def where_or_when(preposition: str, context: Context) -> str | None:  # noqa: PLR0911
    """What asks for a preposition and the answer, such as "in what year"; None where nothing does."""
    span = context.span
    if span.kind == "date":
        return _time_phrase(preposition, span.text)
    if span.kind == "quantity":
        return {
            "for": "for how much" if re.match(r"\D", span.text) else "for how long",
            "by": "by how much",
        }.get(preposition.lower())
    if span.kind == "name":
        if preposition.lower() in ("in", "at", "near") and kind_of_name(context) == "place":
            return "where" if preposition.lower() != "near" else "near which place"
        word = name_word(context)
        if word is None or preposition.lower() not in (
            "in",
            "at",
            "by",
            "from",
            "to",
            "for",
            "with",
            "under",
        ):
            return None
        if word == "who":
            return f"{preposition.lower()} whom"
        return f"{preposition.lower()} {word}" if word != "what" else None
    return None
