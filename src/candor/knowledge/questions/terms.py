"""Common nouns as answers: the subjects and the objects of a passage's sentences.

Passages without names ("Metamorphic rocks form when …") still say things about something.
"""

from __future__ import annotations

import re

from candor.data.chunks import sentence_spans
from candor.knowledge.questions.clauses import (
    ADJUNCT,
    LEADING,
    NOT_A_NOUN,
    PREPOSITIONS,
    PRONOUN,
    split_clause,
)
from candor.knowledge.questions.names import names
from candor.knowledge.questions.spans import Span
from candor.knowledge.questions.words import AUXILIARIES, is_past


def subject_spans(text: str, title: str = "") -> list[Span]:
    """Common-noun subjects of the passage's sentences, as spans of kind "term".

    Passages without names ("Metamorphic rocks form when …") still say things about something.
    """
    spans = []
    topic = set(re.findall(r"\w+", title.lower()))
    for start, end in sentence_spans(text):
        begins, parts = _after_opening(text[start:end])
        if parts is None:
            continue
        match = re.match(r"(?:(?:The|A|An|the|a|an) )?(.+)$", parts[0])
        subject = match.group(1) if match else ""
        words = subject.split()
        if (
            not words
            or len(words) > 5
            or re.search(r"[^\w \-’']", subject)
            or PRONOUN.search(subject)
            or subject[0].isdigit()
        ):
            continue
        if re.match(
            r"(?:Important|New|Such|Notable|Similar|Different|Various|Minor|Major|Typical|Two|Three|Main|Certain|One|Early|Recent|Some|Many|Several|Most|Other|Another|Both|Each|No|All|What|Any|More|Only|Much|Another|Further|If|Either|Not)\b",
            subject,
            re.I,
        ):
            continue
        if re.match(
            rf"(?:{PREPOSITIONS}|since|once|nor|now|when|while|as|although|if|how|why|whether) ",
            subject + " ",
            re.I,
        ):
            continue
        if re.search(
            r"\b(?:[Oo]nce|[Ii]f|[Ww]hen|what|[Tt]hat|which|because|oldest|largest|latter|former|following|first|second)\b",
            subject,
        ):
            continue
        if re.match(r"\w+ly\b", subject):
            continue
        if parts[1] in ("may", "can", "could", "might", "would", "should", "must", "shall"):
            continue  # what may be so has no one answer
        if len(words) == 1 and parts[0][:3] in ("The", "the"):
            continue  # "The law requires …": which law?
        if set(re.findall(r"\w+", subject.lower())) <= topic:
            continue
        if any(text[a:b] == subject for a, b in names(text)):
            continue  # a name; `find_spans` has it
        at = start + begins + (match.start(1) if match else 0)
        spans.append(Span(at, at + len(subject), subject, "term", (start, end), 0.6))
    return spans


def object_spans(text: str, title: str = "") -> list[Span]:
    """Short common-noun objects of the passage's verbs, as spans of kind "term"."""
    spans = []
    for start, end in sentence_spans(text):
        begins, parts = _after_opening(text[start:end])
        if parts is None or parts[1] in AUXILIARIES or PRONOUN.search(parts[0]):
            continue
        match = re.match(
            rf"(?:(?:the|an?) )?((?:[\w’'-]+ ){{0,3}}?[\w’'-]+)(?=[.,]|$| (?:{PREPOSITIONS}|and|that|which|who)\b)",  # noqa: E501
            parts[2],
        )
        if match is None or parts[2][match.end() :].startswith(" of"):
            continue
        found, words = match.group(1), match.group(1).split()
        if (
            NOT_A_NOUN.match(words[0])
            or PRONOUN.search(found)
            or re.search(r"(?:ly|ing)$", words[0])
            or re.match(r"(?:and|or|,)", parts[2][match.end() :].lstrip(" "))
            or re.match(
                r"(?:that|to|not|all|some|many|several|more|most|part|place|control|back|out|up|down|how|if|one|no|any|both)\b",
                found,
            )
            or is_past(words[-1])
            or len(found) < 4
            or found[0].isupper()
            or any(character.isdigit() for character in found)
        ):
            continue
        at = text.find(parts[2], start + begins)
        if at < 0:
            continue
        at += match.start(1)
        spans.append(Span(at, at + len(found), found, "term", (start, end), 0.5))
    return spans


def _after_opening(sentence: str) -> tuple[int, tuple[str, str, str] | None]:
    """Where a sentence begins behind "However," and "In 1890,", and its (subject, verb, rest) from there."""
    begins = 0
    for pattern in (LEADING, ADJUNCT):
        if (match := pattern.match(sentence[begins:])) is not None:
            begins += match.end()
    return begins, split_clause(re.sub(r"[.!?]$", "", sentence[begins:]))
