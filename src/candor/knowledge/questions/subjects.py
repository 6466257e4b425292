"""Questions whose answer is the subject: the question word takes its place and nothing else moves."""

from __future__ import annotations

import re

from candor.knowledge.questions.clauses import noun_phrase
from candor.knowledge.questions.forms import Context, Form
from candor.knowledge.questions.names import names
from candor.knowledge.questions.question_words import name_word
from candor.knowledge.questions.words import ACTS, AUXILIARIES, BASE_FORMS, PERSON_NOUN, PRESENT, is_past


def subject_questions(rest: str, context: Context) -> list[Form]:  # noqa: PLR0911, PLR0912
    """Questions from a predicate, which is the clause behind its subject."""
    span = context.span
    rest = re.sub(
        r"^(?:also|once|now|then|later|still|already|soon|first|often|therefore|thus|\w+ly) (?=[a-z])",
        "",
        rest,
    )
    words = rest.split(" ")
    if span.kind == "count":
        noun, after = noun_phrase(rest)
        first = after.split(" ")[0]
        if (
            not noun
            or after.startswith(("of ", "and ", "or "))
            or not (first in AUXILIARIES or is_past(first))
        ):
            return []
        return [Form(f"how many {noun} {after}", f"how many {noun}")]
    if words[0] in BASE_FORMS and (span.kind == "term" or span.text.endswith("s") or " and " in span.text):
        words[0] = next(third for third, base in PRESENT.items() if base == words[0])
        rest = " ".join(words)
    if span.kind not in ("name", "term") or not (
        words[0] in AUXILIARIES or is_past(words[0]) or words[0] in PRESENT
    ):
        return []
    if re.match(
        r"(?:is|are|was|were) (?:that|when|toward|towards|through|whether|to|in|on|at|for|what|how|why|not|such|both|either)\b",  # noqa: E501
        rest,
    ):
        return []
    if len(words) < 5 and not names("x " + rest):
        return []  # "What is common?"
    if span.kind == "term":
        word = (
            "who"
            if re.search(r"(?:ists|icians|men|people|workers|teachers|students)$", span.text)
            and words[0] in AUXILIARIES
            else "what"
        )
        if context.who == "person" or _acts(rest) or PERSON_NOUN.search(span.text):
            word = "who"
        if (
            re.fullmatch(r"[A-Z][a-z]+[^s\W]", span.text)
            and is_past(words[0])
            and not re.search(rf"\b{span.text.lower()}\b", context.text)
        ):
            word = "who"  # a surname that opens a sentence
        return [Form(f"{word} {rest}", word)]
    if len(words) > 1 and is_past(words[0]) and words[1] in ("by", "as"):
        return []
    word = name_word(context)
    if (
        word in ("what", None)
        and context.who != "thing"
        and (
            (
                is_past(words[0])
                and words[0] not in ("became", "began", "included", "contained", "took", "made")
            )
            or (words[0] == "was" and words[1:2] and words[1] in ("elected", "born", "appointed", "killed"))
            or re.match(
                r"(?:was|is) (?:the|a|an) (?:\w+ )?(?:director|leader|founder|president|author|governor|king|head|member)\b",  # noqa: E501
                rest,
            )
        )
    ):
        word = "who"  # people, countries and companies act; things seldom do
    if word == "what" and context.who != "thing" and _acts(rest):
        word = "who"
    if word == "what" and re.search(r"\b(?:military|army|navy|forces|government|troops)$", span.text, re.I):
        word = "who"
    if word is None:
        word = "what" if words[0] in ("is", "was") and words[1:2] == ["the"] else "which place"
    return [Form(f"{word} {rest}", word)]


def _acts(rest: str) -> bool:
    """Whether a predicate is one of people, or of countries and companies that act like people."""
    words = rest.split(" ")
    if words[0] in ACTS or (
        words[0] in AUXILIARIES and len(words) > 1 and words[1] in ACTS and words[0] in ("has", "have", "had")
    ):
        return True
    return (
        re.match(
            r"(?:is|was|are|were|became|remained) (?:(?:an?|the|one) )?(?:[\w’'-]+ ){0,3}?(?="
            + PERSON_NOUN.pattern
            + ")",
            rest,
        )
        is not None
    )
