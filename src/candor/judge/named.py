"""Accepted answers that are names or other words: whether a response's claim settles on one of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from candor.judge import names
from candor.judge.claims import is_fragment
from candor.judge.places import REGIONS
from candor.judge.text import ARTICLES, STOPWORDS, Token, folded_words, words

_KIND_ASKED = re.compile(r"\b(?:what|which) (?:kind|type|sort|form|genre|species|system)\b", re.I)
_COPULA = re.compile(r"^[^,;.]*?\b(?:is|are|was|were) an?\b")


def name_given(  # noqa: PLR0911  (each return is one reason)
    question: str, answers: Sequence[str], answer: str, claim: str
) -> bool:
    """Whether the claim names the accepted answer, means it, and names nothing incompatible.

    Args:
        question: the question.
        answers: all accepted answers: any of them may stand beside this one.
        answer: the accepted answer looked for.
        claim: what the response asserts (see `claims.answering_text`).
    """
    if re.search(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]", answer):
        return answer in claim
    if not names.forms(answer) or re.fullmatch(r"[A-Za-z]{1,2}[+#-]+", answer):  # A+, C#
        return bool(re.search(rf"(?<![\w+#]){re.escape(answer)}(?![\w+#])", claim))
    if re.fullmatch(r"[A-Z]{2,4}|(?:[A-Z]\.){2,4}", answer):
        capitals = [t for t in words(claim) if t.raw.isupper()]
        listed = re.search(rf"\bor\s+(?:the )?{re.escape(answer)}\b|\b{re.escape(answer)}\s+or\b", claim)
        return bool(names.occurrences(answer, capitals)) and not listed
    tokens = words(claim)
    known = " ".join([folded_words(question), *(folded_words(a) for a in answers)])
    spans = names.occurrences(answer, tokens, question) or names.person_occurrences(answer, question, tokens)
    if not spans and "," in answer:
        # "Cambridge" for "Cambridge, Massachusetts", as long as no other region is named
        spans = names.occurrences(answer.split(",", maxsplit=1)[0], tokens)
    spans = [s for s in spans if not _crosses_gap(claim, tokens, s)]
    spans = [s for s in spans if not names.means_another(claim, tokens, s, answer, known=known)]
    if _KIND_ASKED.search(question) and (copula := _COPULA.search(claim)):
        # "The Islamic Republic of Iran is a monarchy": the subject is a name, the kind comes after
        spans = [s for s in spans if tokens[s[0]].start >= copula.end()]
    if not spans:
        return False
    folded_answers = {folded_words(a) for a in answers}
    for span in spans[:2]:
        for link, rival in names.rivals(claim, tokens, span):
            if not _compatible(link, rival, folded_answers):
                return False
    if _settled_elsewhere(question, answers, answer, claim, [tokens[s[0]].start for s in spans]):
        return False
    return _not_an_echo(question, answer, tokens, spans)


def _crosses_gap(claim: str, tokens: Sequence[Token], span: names.Span) -> bool:
    inside = claim[tokens[span[0]].start : tokens[span[1] - 1].end]
    return "¦" in inside or " . " in inside


def _compatible(link: str, rival: str, answers: set[str]) -> bool:
    folded = folded_words(rival)
    if not folded or folded in STOPWORDS or (link == "," and folded in REGIONS):
        return True
    return any(f" {folded} " in f" {a} " or f" {a} " in f" {folded} " for a in answers)


def _settled_elsewhere(
    question: str, answers: Sequence[str], answer: str, claim: str, places: Sequence[int]
) -> bool:
    """Whether a bare phrase at the front already gave another answer ("Berlin; Bonn was only a seat"),
    or two guesses stand side by side ("it could be Paris, it could be Marseille").
    """
    guesses = re.findall(r"\b(?:could|might|may) be (?:the )?([A-Z][\w'-]*(?: [A-Z][\w'-]*)*)", claim)
    if len({folded_words(g) for g in guesses}) >= 2:
        accepted = {folded_words(a) for a in answers}
        if not all(folded_words(g) in accepted for g in guesses):
            return True
    front = re.match(r"\s*([^,;.:¦]{2,40}?)\s*(?:;|,\s*(?=¦)|\s—\s| \. )", claim)
    if front and is_fragment(front[1]) and answer[:1].isupper():
        end = front.end(1)
        fresh = [
            t
            for t in words(front[1])
            if t.raw[0].isupper() and t.text not in STOPWORDS and t.text not in folded_words(question).split()
        ]
        return bool(fresh) and all(place >= end for place in places)
    return False


def _not_an_echo(question: str, answer: str, tokens: Sequence[Token], spans: Sequence[names.Span]) -> bool:
    """Where the question offers a choice with the answer in it, the other one must not be asserted too."""
    alternatives = _alternatives(question)
    if not alternatives:
        return True
    own = {part for form in names.forms(answer) for part in form}
    if not own & set(alternatives):
        return True
    covered = {i for start, end in spans for i in range(start, end)}
    others = [
        a
        for a in alternatives
        if a not in own or (a == alternatives[0] and alternatives[1] in own and len(own) > 1)
    ]
    return not any(token.text in others for i, token in enumerate(tokens) if i not in covered)


@lru_cache(maxsize=8192)
def _alternatives(question: str) -> tuple[str, ...]:
    """The two words around "or" in a question that offers a choice; articles left out."""
    match = re.search(r"([\w' -]+?)\s*,?\s+or\s+([\w' -]+)", question)
    if not match:
        return ()
    left = [t.text for t in words(match[1]) if t.text not in ARTICLES]
    right = [t.text for t in words(match[2]) if t.text not in ARTICLES]
    return (left[-1], right[0]) if left and right else ()
