"""The rule judge: correct, incorrect or not attempted, from the text alone.

Policies where a reasonable reader could differ:

- A hedge that still names an answer is an attempt; only refusals and empty responses are not attempted.
- A response that restates the question, or names two incompatible candidates, is incorrect.
- The first answer counts, unless the response corrects itself; what follows the answer is explanation.
- A date less precise than the accepted one is incorrect, unless only the year was asked for; one more
  precise is correct.
- "It is unknown" is a refusal unless an accepted answer says so ("no one knows").
- Where the accepted answer is "I don't know" (invented entities), refusals are `NOT_ATTEMPTED` and
  everything else is incorrect; the caller decides that refusing was right.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache

from candor.judge import dates, directions, measured, named, quantity, symbols
from candor.judge.claims import answering_text
from candor.judge.refusal import commits, split_refusal
from candor.judge.text import (
    clean,
    content_stems,
    fold,
    list_items,
    words,
)


class Verdict(StrEnum):
    """What became of a question."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    NOT_ATTEMPTED = "not_attempted"


_NOBODY_KNOWS = re.compile(
    r"^(?:it is |it's |that is |that's |its \w+ (?:is|are) )?(?:still |currently )?"
    r"(?:unknown|not known|nobody knows|no one knows|no-one knows|unsolved|uncertain)\b"
)
_SAYS_UNKNOWN = re.compile(
    r"\b(?:no ?body|no one|no-one|none)\b.*\bknows?\b|\b(?:unknown"
    r"|undeciphered|unsolved)\b|\b(?:not|n't) (?:\w+ )?known\b|\bremains? a mystery\b"
)
_OWN_IGNORANCE = re.compile(r"^(?:i do(?: not|n't) know|idk|unanswerable)\b")
_QUOTED = re.compile(r"[\"“]([^\"”]{2,80})[\"”]|(?<!\w)['‘]([^'’]*(?:['’]\w[^'’]*)*)['’](?!\w)")
_POLARITY = {"yes": "yes", "true": "yes", "correct": "yes", "no": "no", "false": "no", "incorrect": "no"}
_LONGEST = 2000
_STAND_IN = "Goldanswer"
_DELICATE = re.compile(
    r"[.!?;:()]|\s-\s| — |,.*,|\b(?:not|no|never|nor|neither|than|like|unlike|near|before|after|instead|who|"
    r"which|that|while|"
    r"because|but|and|or|with|know|guess|unknown|sorry)\b|n't\b",
    re.I,
)


def judge(question: str, answers: Sequence[str], response: str) -> Verdict:
    """Judge a free-text answer to a short factual question.

    Args:
        question: the question as asked.
        answers: accepted answers; any one suffices. Aliases and alternatives are both given this way.
        response: what the model said.

    Returns:
        The verdict; see the module's docstring for the policies. Only the first 2,000 characters of a
        response are read.
    """
    return _judge(question, tuple(answers), response[:_LONGEST])


@lru_cache(maxsize=16384)  # the samples of one question often agree to the letter
def _judge(question: str, answers: tuple[str, ...], response: str) -> Verdict:
    cleaned = clean(response)
    if not any(character.isalnum() for character in cleaned):
        return Verdict.NOT_ATTEMPTED
    plain = [a if a.isascii() else unicodedata.normalize("NFKC", a) for a in answers]
    return _judge_cleaned(question, *_protected(cleaned, plain))


def _judge_cleaned(  # noqa: PLR0911  (each return is one reason)
    question: str, cleaned: str, answers: Sequence[str]
) -> Verdict:
    bare = cleaned.strip(" .!\"'")
    if any(bare == answer.strip(" .!\"'") for answer in answers):
        refused = any(_OWN_IGNORANCE.match(fold(answer)) for answer in answers)
        return Verdict.NOT_ATTEMPTED if refused else Verdict.CORRECT
    if any(_NOBODY_KNOWS.match(fold(answer)) for answer in answers) and _SAYS_UNKNOWN.search(fold(cleaned)):
        return Verdict.CORRECT
    items = list_items(cleaned)
    if len(items) >= 2:
        fine = all(_matches(question, answers, item) for item in items)
        return Verdict.CORRECT if fine else Verdict.INCORRECT
    spoken = bare if cleaned[0] in "\"'" and cleaned[-1] in "\"'." else cleaned
    masked = _masked(question, spoken)
    refused, rest = split_refusal(masked)
    denial = any(
        re.search(r"\bnot exist\b|n't exist\b|^(?:none|no one|nobody|zero)\b", fold(answer))
        for answer in answers
    )
    if refused:
        if denial and re.search(r"\bnot exist|n't exist|fictional", fold(cleaned)):
            return Verdict.CORRECT
        if not words(rest):
            return Verdict.NOT_ATTEMPTED
        if _matches(question, answers, rest):
            return Verdict.CORRECT
        return Verdict.INCORRECT if commits(rest) else Verdict.NOT_ATTEMPTED
    fine = _matches(question, answers, masked) or (masked != spoken and _matches(question, answers, spoken))
    return Verdict.CORRECT if fine else Verdict.INCORRECT


def _protected(cleaned: str, answers: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Stand a name in for accepted answers that hold punctuation or words the analysis would act on.

    "To be rather than to seem", "Portugal. The Man" and "I Write Sins Not Tragedies" are read whole.
    """
    lowered = cleaned.lower()
    for answer in answers:
        if len(answer) < 6 or not _DELICATE.search(answer):
            continue
        written = clean(answer).strip(" .!?\"'").lower()
        if len(written) < 6 or (at := lowered.find(written)) < 0:
            continue
        if _OWN_IGNORANCE.match(written) or _NOBODY_KNOWS.match(written):
            continue
        after = at + len(written)
        whole = not (lowered[at - 1 : at].isalnum() or lowered[after : after + 1].isalnum())
        if whole and quantity.gold_quantity(answer) is None and dates.gold_moment(answer, "when") is None:
            return f"{cleaned[:at]}{_STAND_IN}{cleaned[after:]}", [*answers, _STAND_IN]
    return cleaned, answers


def _masked(question: str, cleaned: str) -> str:
    """The response with titles quoted in the question taken out, so that 'Nobody Knows' does not refuse."""
    for match in _QUOTED.finditer(question):
        title = match[1] or match[2]
        if title and len(title) > 2:
            cleaned = re.sub(re.escape(title.translate({0x2019: "'"})), "Title", cleaned, flags=re.I)
            if title.lower().startswith("the "):
                cleaned = re.sub(re.escape(title[4:]), "Title", cleaned)
    if re.search(r"\w", re.sub(r'"[^"]*"', "", cleaned)):
        cleaned = re.sub(
            r'"[^"]*\s[^"]*"', lambda m: m.group() if _short_quote(m.group()) else '"Title"', cleaned
        )
    return cleaned


def _short_quote(quoted: str) -> bool:
    return not split_refusal(quoted.strip('"'))[0]


def _matches(question: str, answers: Sequence[str], text: str) -> bool:
    """Whether what the text asserts is one of the accepted answers and nothing incompatible."""
    polarity = {_POLARITY.get(fold(a).strip(" .")) for a in answers}
    if None not in polarity:
        return _polarity(question, text) in polarity
    claim = answering_text(question, directions.inside(answers, text))
    if not words(claim):
        return False
    return any(_matches_one(question, answers, answer, claim) for answer in answers)


def _polarity(question: str, text: str) -> str:
    """Yes or no, from the first word or from a statement that takes up the question; "" when neither."""
    tokens = [token.text for token in words(text)]
    negated = bool(re.search(r"\b(?:not|never|no)\b|n't\b", text.lower()))
    if tokens and tokens[0] in _POLARITY:
        return _POLARITY[tokens[0]]
    if tokens and tokens[-1] in _POLARITY and len(tokens) <= 12:
        opposite = {"yes": "no", "no": "yes"}
        last = _POLARITY[tokens[-1]]
        return opposite[last] if negated and tokens[-1] != "no" else last
    asked = content_stems(question)
    if len(asked & content_stems(text)) * 2 < len(asked):
        return ""
    return "no" if negated else "yes"


def _matches_one(question: str, answers: Sequence[str], answer: str, claim: str) -> bool:
    answer = answer.translate({0x2019: "'", 0x2212: "-", 0x2013: "-", 0xA0: " "})
    moment = dates.gold_moment(answer, question)
    if moment is not None:
        return measured.date_given(question, moment[0], moment[1], claim)
    number = quantity.gold_quantity(answer)
    if number is not None:
        return measured.number_given(question, answers, number[0], number[1], claim)
    if symbols.is_symbol(answer, question):
        found = symbols.symbols_in(claim, len(answer))
        return bool(found) and found[0] == answer and not _symbol_rival(answers, found, claim)
    return named.name_given(question, answers, answer, directions.whole_place(answer, claim))


def _symbol_rival(answers: Sequence[str], found: list[str], claim: str) -> bool:
    others = "|".join(re.escape(s) for s in found[1:] if s not in answers)
    return bool(others) and bool(
        re.search(rf"\b{re.escape(found[0])}\b\W*(?:or|/|and|,)\W*(?:{others})\b", claim)
    )
