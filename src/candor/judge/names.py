"""Names and other words: where an accepted answer stands in a text, and whether it means the same there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from candor.judge.places import REGIONS, conflicts
from candor.judge.text import (
    STOPWORDS,
    Token,
    fold,
    fold_german,
    folded_words,
    singular,
    word_set,
    words,
)

Span = tuple[int, int]  # tokens [start, end)
_SAME = {
    "saint": "st",
    "mount": "mt",
    "doctor": "dr",
    "usa": "us",
    "mister": "mr",
    "fort": "ft",
    "versus": "vs",
}
_TITLES = word_set(
    "mr mrs ms miss dr sir lady lord dame madame madam monsieur professor prof president king queen "
    "prince princess emperor empress general gen captain colonel major admiral saint st pope senator "
    "governor chancellor minister secretary judge justice father mother brother sister physicist "
    "chemist author writer poet composer painter actor actress singer director scientist inventor "
    "explorer astronomer mathematician philosopher us american british french german english italian "
    "nobel"
)
_PARTICLES = word_set(
    "da de di du del della la le van von der den ter of al el bin ibn ii iii iv vi vii viii jr sr"
)
_SUFFIXES = word_set("jr sr ii iii iv v vi esq phd md")
# A capitalised word after a name that does not make another name of it.
_CLASS_WORDS = word_set(
    "river city ocean sea mountain mountains mount island islands lake desert university republic "
    "empire kingdom airport county language people dynasty valley peninsula province district region "
    "town village national international museum palace castle bridge tower street county award prize "
    "film movie band album novel book metropolis canal gulf bay strait company corporation inc ltd "
    "church cathedral temple dc sterling"
)
# Class words that a name may lose when the question says them. Not "sea": the Red Sea is not "red".
_IMPLIED = word_set("language river city county university company movie film airport state")
_QUALIFIERS = word_set(
    "north south east west northern southern eastern western northeast northwest southeast southwest "
    "new upper lower papua equatorial great greater little non anti pre post neo dwarf semi half ex "
    "former vice step grand great-grand"
)
_COMPOUND = re.compile(r"(?:\w{2,}ide|\w{2,}[ps]hate|\w+nitrate|\w+onate|\w{3,}ite|nitrate|acid)s?$")
_WHO = re.compile(
    r"\b(?:who|whose|whom|which (?:\w+ )?(?:person|physicist|chemist|scientist|president|king|queen|author"
    r"|writer|actor|actress|singer|player|painter|composer|explorer|politician|poet|director)"
    r"|[Ww]hich (?-i:[A-Z]\w+) (?:was|is))\b",
    re.I,
)


def _key(word: str) -> str:
    return _SAME.get(word, word)


@lru_cache(maxsize=32768)
def forms(gold: str) -> tuple[tuple[str, ...], ...]:
    """Token sequences that count as the accepted answer, the full one first."""
    plain = re.sub(r"\s*\([^)]*\)", "", gold).strip() or gold
    plain = re.sub(r"\b(?:[A-Za-z]\.){2,}", lambda m: m.group().replace(".", ""), plain)
    for sign, name in (("£", "pound"), ("€", "euro"), ("¥", "yen")):
        if sign in gold and not any(c.isdigit() for c in gold):
            return ((name,),)  # "UK £" is the pound, not the UK
    variants = [
        tuple(_key(t.text) for t in words(plain)),
        tuple(_key(t.text) for t in words(fold_german(plain))),
    ]
    whole = tuple(_key(t.text) for t in words(gold))
    variants.append(whole)
    first = variants[0]
    joined = "".join(first)
    if len(first) > 1 and len(joined) <= 8 and re.search(r"\w[/.&-]\w", gold):
        variants.append((joined,))  # AC/DC
    if len(first) == 2 and first[1] in ("river", "city") and plain[:1].isupper():
        variants.append(first[:1])
    if len(first) == 2 and first[0] in ("mt", "lake", "river") and plain[:1].isupper():
        variants.append(first[1:])
    return tuple(dict.fromkeys(v for v in variants if v))


def occurrences(gold: str, tokens: Sequence[Token], question: str = "") -> list[Span]:
    """Places of the accepted answer among the tokens: whole words; plurals agree for common nouns.

    A class word that the question already says may be missing: "Greek" for "Greek language" when asked
    which language.
    """
    proper = gold[:1].isupper()
    found: set[Span] = set()
    keys = [_key(t.text) for t in tokens]
    accepted = forms(gold)
    if (
        accepted
        and len(accepted[0]) > 1
        and accepted[0][-1] in _IMPLIED
        and accepted[0][-1] in fold(question)
    ):
        accepted = (*accepted, accepted[0][:-1])
    for form in accepted:
        n = len(form)
        last = form[-1] if proper else singular(form[-1])
        for i in range(len(keys) - n + 1):
            if keys[i + n - 1] != form[-1] and (proper or singular(keys[i + n - 1]) != last):
                continue
            if all(keys[i + j] == form[j] for j in range(n - 1)):
                found.add((i, i + n))
    return sorted(found)


def person_occurrences(gold: str, question: str, tokens: Sequence[Token]) -> list[Span]:
    """Places where a person is named by last name, initials or with other middle names.

    "Curie", "M. Curie" and "Marie Skłodowska Curie" stand for "Marie Curie"; "Pierre Curie" does not.
    """
    parts = words(gold)
    if (
        len(parts) < 2
        or not _WHO.search(question)
        or not all(t.raw[0].isupper() or t.text in _PARTICLES for t in parts)
    ):
        return []
    names = [t.text for t in parts if t.text not in _PARTICLES and t.text not in _SUFFIXES]
    if len(names) < 2:
        # "Philip II of Macedon" keeps one or two real names; "Leonardo da Vinci" two.
        return []
    last = {names[-1], words(fold_german(gold))[-1].text if parts[-1].text == names[-1] else names[-1]}
    by_first = any(t.text in ("da", "of", "the") for t in parts)  # Leonardo, Philip
    found: list[Span] = []
    for i, token in enumerate(tokens):
        if not token.raw[0].isupper():
            continue
        if token.text in last:
            start = i
            while (
                start and _name_like(tokens[start - 1]) and tokens[start].start - tokens[start - 1].end <= 2
            ):
                start -= 1
            if _same_person(names, tokens[start:i]) and not _extends_right(tokens, i):
                found.append((start, i + 1))
        elif by_first and token.text == names[0] and _mononym(tokens[i + 1 : i + 4], names[-1]):
            found.append((i, i + 1))
    return found


def _same_person(names: Sequence[str], before: Sequence[Token]) -> bool:
    """Whether the names before a last name fit: none, the first name among them, or other given names."""
    given = [t.text for t in before if t.text not in _PARTICLES and t.text not in _TITLES]
    own = set(names[:-1])
    return (
        not given
        or names[0] in given
        or all(g in own or (len(g) == 1 and any(x[0] == g for x in own)) for g in given)
    )


def _mononym(after: Sequence[Token], last: str) -> bool:
    """Whether a first name stands alone, or only with its particle ("Philip of Macedon")."""
    if not after:
        return True
    if after[0].text in _SUFFIXES:
        return False
    return not _name_like(after[0]) or (after[0].text in _PARTICLES and last in {t.text for t in after})


def _name_like(token: Token) -> bool:
    return (token.raw[0].isupper() and token.text not in STOPWORDS) or token.text in _PARTICLES


def _extends_right(tokens: Sequence[Token], end: int) -> bool:
    """Whether another name follows token `end` without punctuation: "George Washington Carver"."""
    if end + 1 >= len(tokens):
        return False
    here, following = tokens[end], tokens[end + 1]
    return (
        following.start - here.end == 1
        and following.raw[0].isupper()
        and not following.raw.isupper()
        and following.text not in STOPWORDS
        and following.text not in _SUFFIXES
        and following.text not in _CLASS_WORDS
        and not here.raw.isupper()
    )


def means_another(text: str, tokens: Sequence[Token], span: Span, gold: str, *, known: str) -> bool:
    """Whether the words around an occurrence make it another thing: "New Mexico", "Paris, Texas".

    Args:
        text: the text the tokens come from.
        tokens: its tokens.
        span: where the accepted answer stands.
        gold: the accepted answer.
        known: folded question and accepted answers; what is named there makes no other thing.
    """
    start, end = span
    proper = gold[:1].isupper()
    titled = sum(t.raw[0].isupper() for t in tokens) > 0.6 * len(tokens) and len(tokens) > 4
    if proper and not titled and _extends_right(tokens, end - 1):
        following = tokens[end].text
        if f" {following} " not in f" {known} ":
            return True
    adjacent_after = end < len(tokens) and tokens[end].start - tokens[end - 1].end == 1
    if not proper and adjacent_after and _COMPOUND.match(tokens[end].text):
        return True  # "carbon monoxide" is not carbon
    if start and tokens[start].start - tokens[start - 1].end == 1:
        before = tokens[start - 1]
        if before.text in _QUALIFIERS and f"{before.text} {tokens[start].text}" not in known:
            opens = start == 1 or before.text in ("dwarf", "vice", "step", "ex", "half", "non")
            if before.raw[0].isupper() if proper else opens:
                return True
    region = re.match(r",?\s*\(?((?:[A-Z][\w']+|of)(?: (?:[A-Z][\w']+|of))*)", text[tokens[end - 1].end :])
    if region and proper and re.match(r",|\s*\(", text[tokens[end - 1].end :]):
        place = " ".join(t.text for t in words(gold.split(",", maxsplit=1)[0]))
        return conflicts(place, " ".join(t.text for t in words(region[1])), known)
    if inside := re.match(r",?\s+in\s+((?:[A-Z][\w']+)(?: [A-Z][\w']+)*)", text[tokens[end - 1].end :]):
        place = " ".join(t.text for t in words(gold.split(",", maxsplit=1)[0]))
        return proper and conflicts(place, " ".join(t.text for t in words(inside[1])), known)
    return False


_NAME = r"(?:[A-Z][\w'.-]*|[a-z]{2,3} (?=[A-Z]))(?:\s+(?:(?:of|the|da|de|van|von|del|la)\s+)*[A-Z][\w'.-]*)*"
_LINK = r"(?P<link>,?\s+or\s+|\s*/\s*|,?\s+and\s+|,?\s+&\s+|,\s+|;\s+)"
_LEAD = r"(?:(?:the|a|an|maybe|perhaps|possibly|in|by)\s+)*"
_NEXT = re.compile(rf"\s*{_LINK}{_LEAD}(?P<name>{_NAME}|[\w'-]+)")
_PREVIOUS = re.compile(rf"(?P<name>{_NAME}|[\w'-]+){_LINK}{_LEAD}$")


def rivals(text: str, tokens: Sequence[Token], span: Span) -> list[tuple[str, str]]:
    """Other candidates listed beside an occurrence ("Paris or Lyon", "A, B and C"), with what links them.

    Explanations ("Paris, which …", "Paris, France") are none.
    """
    start, end = tokens[span[0]].start, tokens[span[1] - 1].end
    proper = tokens[span[0]].raw[0].isupper()
    found: list[tuple[str, str]] = []
    position = end
    while match := _NEXT.match(text, position):
        found.append((match["link"].strip(" ,") or ",", match["name"]))
        position = match.end()
    head = text[:start]
    while match := _PREVIOUS.search(head):
        found.append((match["link"].strip(" ,") or ",", match["name"]))
        head = head[: match.start()]
    if all(link == "," for link, _ in found) and any(folded_words(name) in REGIONS for _, name in found):
        return []  # "Paris, Île-de-France, France"
    choice = any(link in ("or", "/") for link, _ in found)
    listed = len(found) >= 2 or any(link in ("and", "&") for link, _ in found)
    alike = [(link, name) for link, name in found if _like(name, proper) or link in ("or", "/")]
    if choice:
        return alike
    if listed and proper:
        joined = any(link in ("and", "&") for link, _ in alike)
        return alike if joined or len(alike) == len(found) else []
    if len(found) >= 2 and not proper and len(words(text)) <= 2 * (len(found) + 1):
        return found
    return []


def _like(name: str, proper: bool) -> bool:
    tokens = words(name)
    return bool(tokens) and tokens[0].text not in STOPWORDS and proper == tokens[-1].raw[0].isupper()
