"""Cheap filters: is this a question that makes sense on its own, before any model reads it?"""

from __future__ import annotations

import re

from candor.knowledge.questions.names import names
from candor.knowledge.questions.words import CLASS_NOUNS, VERBS, listed

_QUESTION_WORD = re.compile(
    r"^(?:(?:In|On|At|By|From|To|For|Since|Until|With|Under|Near|During) )?(?:[^?]{3,50}, )?(?:(?:in|on|at|by|from|to|for|since|until|with|under|near|during) )?(?:who|whom|whose|what|which|when|where|how|why)\b",  # noqa: E501
    re.I,
)
_POINTER = re.compile(
    r"\b(?:passage|text|above|below|following|aforementioned|paragraph|article|excerpt|sentence|author|figure|table"
    r"|mentioned|described here|given information|former|latter|respectively|resulting|remaining|in response|as well as|however|although|though|whereas)\b",  # noqa: E501
    re.I,
)
_PRONOUN = re.compile(
    r"\b(?:he|she|it|they|them|him|this|these|those|such|we|our|us|i|my|you|your|there|here|so|another)\b",
    re.I,
)
_SCOPE = re.compile(r"^(?:In [a-z]|Concerning )[^?]{3,60}?, (?=(?:\w+ )?(?:wh|how))")
_HER = re.compile(r"\bher(?= (?:because|and|in|to|on|at|by|for)\b|\?)")
_POSSESSIVE = re.compile(r"\b(?:his|her|its|their|hers|theirs)\b", re.I)
# The owner is the answer, or worse, nobody in the question: "Who has no veto on their guide?"
_LATE_OWNER = re.compile(
    r"^(?:(?:what|which \w+) (?!(?:do|does|did) )|who (?:is|are|was|were|has|have|had|became) )", re.I
)
_SUBJECT = re.compile(
    r"^(?:what|who) (?!(?:do|does|did) |(?:is|was|are|were) (?:the |called |known |[\w -]+['’]s? ))", re.I
)
_DANGLING_END = re.compile(
    r"\b(?:the|an?|of|and|or|that|which|who|than|to|is|was|are|were|be|following|including|such as|because|with|its|their)\?$",  # noqa: E501
    re.I,
)
# "the crisis", "the new building": definite, with nothing after it that says which.
_DEFINITE = re.compile(
    r"\bthe ((?:[a-z][\w’'-]* )?[a-z][\w’'-]*)(?=\?| (?:is|was|are|were|has|have|had|did|do|does|on|at|by|from|into|after"  # noqa: E501
    r"|before|during|since|until|when|if|and|or|as|be|[a-z]+ed|took|became|began|made|in)\b)"
)
_BARE_SUBJECT = re.compile(r"\b(?:did|does|do) the ([a-z]+) ([a-z]+)")
_UNIQUE = re.compile(
    r"\b(?:most|first|last|second|third|only|largest|smallest|highest|lowest|oldest|longest|biggest|greatest|main|same|world|sun|moon|earth"
    r"|sea|internet|late|early|mid|end|beginning|public|poor|rich|wild|king|government|past|present|future|\d+\w*|[a-z]+est|body|brain|universe"
    r"|population|environment|summer|winter|market|economy|ocean|atmosphere|sky|air|ground|name|number|amount|use|study|theory)\b"
)
_ENOUGH = 5


def form_problem(question: str, answer: str, *, title: str, text: str) -> str | None:  # noqa: PLR0911, PLR0912
    """Why a question can't be asked on its own, as a short reason, or None if nothing is wrong.

    Args:
        question: the candidate.
        answer: its answer.
        title: the document's title, whose words may identify what is asked about.
        text: the passage; the question's content words must come from it or from the title.
    """
    words = re.findall(r"[\w’'-]+", question)
    if not question.endswith("?") or question.count("?") != 1 or not _QUESTION_WORD.match(question):
        return "not a question"
    scope = _SCOPE.match(question)
    inner = question[scope.end() :] if scope else question
    enough = _ENOUGH - bool(content_words(inner) & content_words(title))  # "What is Gokak's time zone?"
    if len(re.findall(r"[\w’'-]+", inner)) < enough:
        return "too short"
    if len(words) > 30:
        return "too long"
    if _DANGLING_END.search(question) or re.search(r"[\"“”()\[\]:;=*/]| [.,]|\. [A-Z]?[a-z]{3}", question):
        return "broken form"
    if re.sub(r"^(?:In|Concerning) [^,]*(?:, [A-Z][a-z]+)?, |, [A-Z]", "", question).count(",") > 1:
        return "broken form"  # what is left of a list
    if re.search(r", [\w’' ]{1,25}\?$", question):
        return "broken form"  # the same: "botched campaigns against Annam, Champa?"
    if re.search(r"\b(\w+) \1\b", question, re.I):
        return "broken form"
    if re.search(r"(?:'s?|’s?)\?$|[^\w ,]s? and \?", question) or re.match(
        r"(?:what|whom) (?:do|does|did)\b[^?]*,", inner, re.I
    ):
        return "broken form"
    if re.search(r"\b(?:did|does|do|were|was|are|is) (?:some|many|several|certain)\b", question):
        return "does not say which"
    if _POINTER.search(question):
        return "points at the passage"
    if (
        _PRONOUN.search(question)
        or _HER.search(question)
        or (_POSSESSIVE.search(question) and _LATE_OWNER.match(inner))
    ):
        return "pronoun"
    if leaks(inner, answer) or (scope and _stems(scope.group()) & _stems(answer)):
        return "contains the answer"
    topic = content_words(title)
    asked = content_words(question)
    known = content_words(text) | topic
    if asked and len([word for word in asked if _stem(word) in {_stem(one) for one in known}]) < 0.75 * len(
        asked
    ):
        return "words not in the passage"
    if (
        (match := _BARE_SUBJECT.search(question)) is not None
        and (match.group(2) in VERBS or re.search(rf"\b{match.group(2)}(?:ed|d|s)\b", text))
        and not content_words(match.group(1)) & topic
        and not _UNIQUE.search(match.group(1))
    ):
        return "does not say which"
    for match in _DEFINITE.finditer(question):
        noun = match.group(1)
        if content_words(noun) & topic or _UNIQUE.search(noun):
            continue
        return "does not say which"
    vague = re.match(r"what (?:do|does|did) ", inner, re.I) and len(content_words(inner)) < 4
    if vague:
        return "names nothing"
    thin = (
        _SUBJECT.match(inner)
        and len(content_words(inner)) < (4 if inner.lower().startswith("who") else 5)
        and not re.search(r"\d{3}", inner)
    )
    if thin or not _anchored(question, topic):
        return "names nothing"
    return None


def _anchored(question: str, topic: set[str]) -> bool:
    """Whether a name, a word of the title, or a description of some length says what it is about."""
    body = question[:1].lower() + question[1:]
    if names(body) or content_words(question) & topic:
        return True
    return len([word for word in content_words(question) if len(word) > 4]) >= 4


def leaks(question: str, answer: str) -> bool:
    """Whether the question holds the answer, or most of its content words."""
    # "Which court …?" may share "court" with its answer.
    asked = {_stem(word) for word in content_words(re.sub(r"(?i)\bwhich \w+", "", question))}
    told = {_stem(word) for word in content_words(answer)}
    told = {word for word in told if word not in {_stem(noun) for noun in CLASS_NOUNS}} or told
    if not told:
        return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", question) is not None
    return len(told & asked) * 2 > len(told) or (len(told) == 1 and bool(told & asked))


_FUNCTION = frozenset(
    listed(
        """
    a an the of in on at by for from to with and or but is are was were be been being has have had
    do does did will would can could may might must shall should who whom whose what which when
    where why how that this these those as it its their his her than then into over under after
    before during since until between through about many much year date month also not no most more
    name called known
    """
    )
)


def content_words(text: str) -> set[str]:
    """Lower-case words of a text that carry meaning (numbers included)."""
    return {
        word
        for word in re.findall(r"[^\W_]+", text.lower())
        if word not in _FUNCTION and (len(word) > 1 or word.isdigit())
    }


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in content_words(text)}


def _stem(word: str) -> str:
    """The first letters of a word: enough to match "created" with "create", "includes" with "include"."""
    if word.isdigit():
        return word
    return word[:5] if len(word) > 5 else word.removesuffix("s")
