"""Questions whose answer stands behind the verb: its phrase goes first, and the clause is inverted."""

from __future__ import annotations

import re

from candor.knowledge.questions.clauses import GAP, PREPOSITIONS, noun_phrase
from candor.knowledge.questions.forms import Context, Form
from candor.knowledge.questions.inversion import inverted
from candor.knowledge.questions.question_words import kind_of_name, name_word, where_or_when
from candor.knowledge.questions.words import is_participle

_BE = ("is", "was", "are", "were")
_HAVE = ("has", "have", "had")
_CALLED = "called|known as|named|termed|referred to as|nicknamed"


def predicate_questions(  # noqa: PLR0911
    subject: str, verb: str, rest: str, context: Context
) -> list[Form]:
    """Questions from a clause's parts; `rest` is what follows the verb, with the gap in it."""
    if form := _identity(subject, verb, rest, context):
        return [form]
    before = rest.split(GAP, maxsplit=1)[0]
    if re.search(
        r"\b(?:that|which|who|whose|where|if|when|after|before|because|since|until|to \w+ed)\b",
        before.rsplit(" ", 2)[0] + " ",
    ):
        return []  # the answer is in a relative clause
    complement = verb in _BE and re.match(r"(?:an?|the|one|its) ", rest) is not None
    if complement and re.search(r"\b\w+ed\b", before):
        return []  # "was a network developed by Apple in 1985": the year is not that of "was"
    called = re.search(rf"\b({_CALLED}) (?:the |an? )?{GAP}", rest)
    preposition = re.search(rf"\b({PREPOSITIONS}) (?:the |about |around |nearly |over )?{GAP}", rest)
    if (
        called
        and verb in _BE
        and called.start() <= 12
        and re.match(rf"$| (?:{PREPOSITIONS})\b", rest[called.end() :])
    ):
        found = "what", rest[: called.start(1)] + called.group(1) + rest[called.end() :]
    elif context.span.kind == "count":
        found = _count(rest)
    elif preposition:
        noun = re.fullmatch(r"an? ((?:[\w-]+ ){1,3})", before[: preposition.start()])
        if not _of_the_verb(verb, rest, preposition):
            return []
        if noun and verb in _BE and preposition.group(1) == "in":  # "Lagos is a large port city in Nigeria"
            if kind_of_name(context) != "place" or rest[preposition.end() :]:
                return []
            return [Form(f"where {verb} the {noun.group(1)}{subject}", "where")]
        found = _prepositional(verb, rest, preposition, context)
    else:
        found = _object(verb, rest, context)
    phrase, remaining = found or (None, "")
    turned = inverted(subject, verb, re.sub(r"\s+", " ", remaining).strip())
    if phrase is None or turned is None:
        return []
    return [Form(f"{phrase} {turned[0]} {turned[1]}".strip(), phrase)]


def _identity(subject: str, verb: str, rest: str, context: Context) -> Form | None:
    """The answer alone behind "is", or a measure of the subject: nothing needs to be inverted."""
    measure = re.match(
        rf"(?:an?|the) ((?:[\w-]+ ){{1,4}})of (?:about |around |over |approximately |only )?{GAP}$", rest
    )
    if measure and verb in _HAVE:
        copula = "was" if verb == "had" else "is"
        return Form(f"what {copula} the {measure.group(1)}of {subject}", "what")
    if verb in _BE and re.match(rf"(?:the |about |around |approximately )?{GAP}$", rest):
        word = name_word(context) or "what" if context.span.kind == "name" else "what"
        return Form(f"{word} {verb} {subject}", word)
    return None


# The rules below give (the phrase that the question opens with, what follows the verb without the answer).


def _count(rest: str) -> tuple[str, str] | None:
    match = re.search(rf"{GAP} (.+)$", rest)
    if match is None:
        return None
    noun, after = noun_phrase(match.group(1))
    before = rest[: match.start()].rstrip()
    before = re.sub(
        r"\b(?:about|around|over|approximately|nearly|some|roughly|almost|at least|the|only)$", "", before
    ).rstrip()
    if (
        not noun
        or before.endswith(("'", "’", "'s", "’s", " every", " each", " per"))
        or after.startswith(("of ", "and ", "or ", "after", "before", "later", "ago", "earlier"))
        or (not before.endswith("home to") and re.search(rf"\b(?:{PREPOSITIONS})$", before))
    ):
        return None
    return f"how many {noun}", f"{before} {after}"


def _of_the_verb(verb: str, rest: str, preposition: re.Match[str]) -> bool:
    """Whether a preposition with the answer is the verb's, and the answer all that it governs."""
    before, after = rest[: preposition.start()], rest[preposition.end() :]
    if verb not in (*_BE, *_HAVE, "will") and (
        re.search(r"\b\w+ing$", before.rstrip())
        or is_participle(before.split(" ")[-2] if " " in before else "")
    ):
        return False  # "maintains a course designed by …": the phrase belongs to the participle
    longer = re.match(r" (?:[a-z]+s?\b)", after) and not re.match(rf" (?:{PREPOSITIONS}|to)\b", after)
    return not (longer or re.match(r"[\w’'-]", after))  # "in 1973 dollars"


def _prepositional(
    verb: str, rest: str, preposition: re.Match[str], context: Context
) -> tuple[str | None, str] | None:
    before, remaining = (
        rest.split(GAP, maxsplit=1)[0],
        rest[: preposition.start()] + rest[preposition.end() :],
    )
    if (
        preposition.group(1) == "by"
        and context.span.kind == "name"
        and verb in _BE
        and is_participle(before.split(" ")[0])
    ):
        word = name_word(context) or "what"
        if word != "what":
            return ("by whom" if word == "who" else f"by {word}"), remaining
        if is_participle(remaining.strip().split(" ")[-1]):
            return "what", remaining.rstrip() + " by"
        return None
    if len(before.split()) > 12:
        return None  # so far on, the phrase seldom belongs to the verb
    return where_or_when(preposition.group(1), context), remaining


def _object(verb: str, rest: str, context: Context) -> tuple[str, str] | None:
    match = re.match(rf"(?:the |a |an )?{GAP}(?= (?:{PREPOSITIONS})\b|$)", rest)
    if (
        match is None
        or context.span.kind not in ("name", "term")
        or verb in (*_BE, "can", "will", "would", "may", "could", "became", "remained")
        or rest[match.end() :].startswith((" to ", " as "))
    ):
        return None
    word = name_word(context) if context.span.kind == "name" else "what"
    return "whom" if word == "who" else word or "what", rest[match.end() :]
