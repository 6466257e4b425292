"""What a response asserts: its corrections, negations, comparisons and asides taken away.

"Paris is not the capital; Lyon is" asserts Lyon; "Unlike Berlin, the capital is Bonn" asserts Bonn. What is
taken away is replaced by `GAP`, which no answer matches across.
"""

# ruff: noqa: E501  (one pattern a line reads better than a wrapped one)
from __future__ import annotations

import re

from candor.judge.places import REGIONS
from candor.judge.text import (
    STOPWORDS,
    content_stems,
    fold,
    folded_words,
    sentences,
    word_set,
    words,
)

GAP = " ¦ "
_NEGATION = re.compile(r"\b(?:not|never|no longer|cannot|neither|nor|failed to)\b|\w+n't\b", re.I)
_NOT_NEGATION = re.compile(
    r"\bnot (?:only|sure|certain|just|to mention|exactly)\b|\b(?:no|without(?: a)?|beyond) doubt\b|\bwhy not\b|\bif not\b",
    re.I,
)
_AUXILIARY = re.compile(
    r"(?:\b(?:is|are|was|were|am|be|been|do|does|did|has|have|had|will|would|could|can|should|may|might|must)|'s|'re|'m)$",
    re.I,
)
_LEADING_AUXILIARY = re.compile(
    r"^(?:is|are|was|were|do|does|did|has|have|had|will|can|could|would)(?:n't| not| never)\b|^(?:never|cannot|can't)\b",
    re.I,
)
_PARTS = re.compile(
    r"(\s*[,;:]\s+|\s+—\s+|\s+-\s+|\s+\(|\)|\s+(?=(?:but|while|whereas|although|though|because|which|who|whose|that|rather than|instead of)\b)"
    r"|\s+and\s+(?=(?:(?:it|he|she|they|this|that)\s+)?(?:is|was|are|were|does|did|do|has|had)?\s*(?:not|never|n't)\b|(?:is|was|does|did|do|has)n't\b))",
    re.I,
)
_SECONDARY = re.compile(
    r"^(?:although|though|while|whereas|unlike|like|besides|contrary to|apart from|in contrast to|as opposed to|rather than|instead of|even though|despite|compared (?:to|with)|not to be confused with|similar to)\b",
    re.I,
)
_ASIDE = re.compile(
    r"^(?:which|who|whose|whom|where|followed by|preceded by|near|not far from|north of|south of|east of|west of|formerly|except|with its|along with|as well as its|because|since)\b",
    re.I,
)
_MISBELIEF = re.compile(
    r"\b(?:(?:many|most|some|lots of|a lot of) (?:people )?|people |everyone |it is (?:often|commonly|widely) |often |commonly |popularly |usually )"
    r"(?:\w+ )?(?:think|thought|say|said|says|believe|believed|believes|assume|assumed|mistaken|confused|guess)\b",
    re.I,
)
_CORRECTION = re.compile(
    r"^.*?\w.*?(?:[.?!,;]\s*|\s+—\s+|\s+-\s+|\.{2,}\s*|\s+)(?:(?:oh|no|oops|hmm),? )?"
    r"(?:actually,? no\b|wait\b(?:,? (?:no|actually))?|(?:small )?correction\b|scratch that\b|no, i mean\b|i mean\b|my mistake\b|let me correct (?:that|myself)\b"
    r"|(?<=[,—-] )sorry,(?! but| i)|(?<=\? )no,)[\s,:;.]*(?:it's really |it is really )?(?=\S)",
    re.I | re.S,
)
_DATE_COMMA = re.compile(
    r"\b((?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sep|Oct|Nov|Dec)[a-z]*\s+\d{1,2}(?:st|nd|rd|th)?),\s*(\d{3,4})\b",
    re.I,
)
_CORRECTS = re.compile(r"actually|wait|correction|scratch|i mean|mistake|let me correct|sorry|\? no,", re.I)
_COMPARED = re.compile(
    r"\b(?:(?i:than(?! (?:a |an )?\d)|unlike|like|near|besides|instead of|rather than|before|after|beating|defeating|followed by|preceded by|as opposed to|compared (?:to|with)"
    r"|(?:north|south|east|west|northeast|northwest|southeast|southwest) of|(?:km|miles|kilometers|kilometres) from|next to|close to|similar to|different from|border with|bordered by|rival))"
    r"\s+(?:(?:the|a|an) )?(?:[\w'.-]+)(?:\s+[A-Z][\w'.-]*)*"
)
_OTHER_THAN = re.compile(r"\b(?:no|none|nobody|no one)\b[^.,;]*?\b(?:other than|but|except)\s+", re.I)
_VERBS = word_set(
    "is are was were be been has have had does did do won wrote became began ended died lived made led "
    "played sang founded discovered invented can will would could may might include includes means "
    "takes took came comes went"
)


def after_correction(text: str) -> str:
    """The text from its last "actually, no", "I mean" … on; all of it when nothing is corrected."""
    while _CORRECTS.search(text) and (match := _CORRECTION.match(text)):
        text = text[match.end() :]
    return text


def asserted(sentence: str, *, winning: bool = False) -> str:
    """One sentence with negated, compared and misbelieved parts replaced by gaps.

    Args:
        sentence: cleaned text.
        winning: the question asks who won, so "X lost" negates.
    """
    sentence = _DATE_COMMA.sub(r"\1 \2", _OTHER_THAN.sub("", sentence))
    pieces = _PARTS.split(sentence)
    parts, gaps = pieces[0::2], [*pieces[1::2], ""]
    keep = [True] * len(parts)
    for i, part in enumerate(parts):
        shown = _NOT_NEGATION.sub("", part)
        if i and not keep[i - 1] and gaps[i - 1].strip() == "," and folded_words(part) in REGIONS:
            keep[i] = False  # "It isn't Framingham, Massachusetts"
            continue
        negation = _NEGATION.search(shown)
        if winning and not negation:
            negation = re.search(r"\blost\b", shown)
        if not negation:
            continue
        before = shown[: negation.start()].strip()
        if negation.group().lower() == "not" and before and not _AUXILIARY.search(before) and before != "but":
            parts[i] = before  # "Paris not Lyon"
            continue
        keep[i] = False
        if _LEADING_AUXILIARY.match(part.strip()):  # "Paris, the old city, is not the capital"
            keep[:i] = [False] * i
        elif i and gaps[i - 1].strip() in ("(", ")"):
            keep[i - 1] = False
    keep = _without_secondary(parts, keep)
    text = "".join((part if kept else GAP) + gap for part, kept, gap in zip(parts, keep, gaps, strict=True))
    masked = _COMPARED.sub(GAP, text)
    return masked if _has_content(masked) else text


def _without_secondary(parts: list[str], keep: list[bool]) -> list[bool]:
    """Drop "although …" and "many think …" where something else remains, and asides once the answer stands."""
    result = list(keep)
    for i, part in enumerate(parts):
        stripped = part.strip()
        others = any(
            k and _has_content(p) for j, (p, k) in enumerate(zip(parts, result, strict=True)) if j != i
        )
        if not others or not result[i]:
            continue
        if _SECONDARY.match(stripped):
            result[i] = False
        elif _MISBELIEF.search(stripped) and i + 1 < len(parts):
            result[i] = False
            # "People often say | that it is Canberra | but …": the reported clause goes too
            if parts[i + 1].strip().startswith("that ") and i + 2 < len(parts):
                result[i + 1] = False
    for i, part in enumerate(parts):
        if (
            i
            and _ASIDE.match(part.strip())
            and any(k and is_candidate(p) for p, k in zip(parts[:i], result[:i], strict=True))
        ):
            result[i] = False
    return result


def _has_content(text: str) -> bool:
    return any(token.text not in STOPWORDS for token in words(text))


def is_candidate(text: str, question: str = "") -> bool:
    """Whether a text names something (a capital or a digit beyond the question's own words)."""
    asked = {token.text for token in words(question)}
    for token in words(text):
        if token.text in STOPWORDS or token.text in asked:
            continue
        if token.raw[0].isupper() or token.raw[0].isdigit():
            return True
    return False


def is_fragment(sentence: str) -> bool:
    """Whether a sentence is only a phrase ("Paris.", "1. Jane Austen"), with no verb of its own."""
    found = words(sentence)
    return len(found) <= 8 and not any(t.text in _VERBS or "'" in t.text for t in found)


def answering_text(question: str, cleaned: str) -> str:
    """The sentences up to the first one that answers, each reduced to what it asserts.

    A phrase without a verb answers; so does a sentence that takes up at least half of the question's
    content words and names something new. What small models add after it is not their answer.
    """
    asked = content_stems(question)
    winning = bool({"win", "winner"} & asked)
    kept: list[str] = []
    all_sentences = sentences(after_correction(cleaned))
    for i, sentence in enumerate(all_sentences):
        if fold(sentence).strip(" ?.!") == fold(question).strip(" ?.!"):
            continue
        text = asserted(sentence, winning=winning)
        kept.append(text)
        if i == len(all_sentences) - 1 or not _has_content(text.replace("¦", "")):
            continue
        shared = len(asked & content_stems(text))
        if is_fragment(sentence) and (is_candidate(text) or len(words(text)) <= 3):
            break
        if is_candidate(text, question) and shared * 2 >= len(asked):
            break
    return " . ".join(kept)
