"""How the judge reads text: cleaning, folding to comparable tokens, sentences and clauses."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple


def word_list(text: str) -> list[str]:
    """The words of a table written as text."""
    return text.split()


def word_set(text: str) -> frozenset[str]:
    """The words of a table written as text, as a set."""
    return frozenset(text.split())


# Letters that NFKD leaves whole; "oe"-style spellings of umlauts are a second fold, see `fold_german`.
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "æ": "ae", "œ": "oe", "&": " and "}
)
_PUNCTUATION = str.maketrans(
    {"’": "'", "‘": "'", "`": "", "´": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "−": "-"}
    | {"–": "-", "—": " — ", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "¦": " ", "*": ""}
)
_ABBREVIATION = re.compile(
    r"\b(St|Mt|Bros|Ft|Dr|Mr|Mrs|Ms|Prof|Gen|Jr|Sr|Sgt|Capt|Lt|Col|Rev|Gov|Sen|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?"
    r"|Oct|Nov|Dec|vs|ca|c|approx|sq|e\.g|i\.e|(?<!\w)[a-z](?=\.\s+[a-z]))\.(?=\s|,|\d)",
    re.I,
)
_INITIALS = re.compile(r"\b(?:[A-Za-z]\.){2,}(?=$|[\s,;:?!)\"'])")  # U.S.A., b.c.
_INITIAL = re.compile(  # W. Shakespeare, George H. W. Bush; but not "The symbol is K. Potassium is …"
    r"(?<![\w'])(?:(?<!is )(?<!symbol )([A-Z])\.(?=\s*[A-Z])(?!\s*(?:It|The|This|That|Its|In|He|She|They)\b)"
    r"|([A-Z])\.(?=\s*(?:[A-Z]\.\s*)+[A-Z])|([A-Z])\.(?=\s*[A-Z][\w'-]+(?:\W*$|[.,!?)]|\s+[A-Z])))"
)
_CURRENCIES = {"£": "pound", "€": "euro", "¥": "yen"}
_ITEM = re.compile(r"^\s*(?:[-•+]|\*(?!\*)|\(?\d{1,2}[.)])\s+(?=\S)")
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t].*$", re.MULTILINE)
_LABEL = re.compile(
    r"^\s*(?:(?:the )?(?:final |correct |short )?answer(?: is)?\s*:|a\s*:|response\s*:|assistant\s*:)\s*",
    re.I,
)
_NEXT_QUESTION = re.compile(r"\n[ \t]*(?:q|question|user|human)[ \t]*:.*", re.I | re.S)
_SENTENCE_END = re.compile(r"\.{2,}|(?<=[.!?。])[\"')\]]*\s+|(?<=。)|\n+")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")

ARTICLES = frozenset({"the", "a", "an"})
STOPWORDS = ARTICLES | word_set(
    "of in on at to for by from with as is are was were be been being am it its this that these those "
    "there he she they him her his their them i you we my our your who whom whose what which when where "
    "why how do does did done has have had will would can could may might shall should must and or but "
    "so if then than not no yes also very just only about into over under between during after before "
    "because while although though however well oh ok okay hmm sorry maybe perhaps probably possibly "
    "think believe guess answer actually one some many most all each any such called named known name s "
    "t d ll ve re m don isn wasn doesn didn"
)


class Token(NamedTuple):
    """A word of a text: `text` folded for comparison, `raw` as written, [start, end) in characters."""

    text: str
    raw: str
    start: int
    end: int


@lru_cache(maxsize=65536)
def fold(text: str) -> str:
    """Lower-case, no accents, compatibility forms unified: "Schrödinger" and "SCHRODINGER" agree."""
    if text.isascii():
        return text.lower().replace("&", " and ")
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c)).translate(_LETTERS)


def fold_german(text: str) -> str:
    """The other usual spelling of umlauts and Nordic letters: "Schroedinger"."""
    pairs = {"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"}
    return fold(unicodedata.normalize("NFC", text).casefold().translate(str.maketrans(pairs)))


def words(text: str) -> list[Token]:
    """Folded words with their places, articles left out, possessive 's removed."""
    found = []
    for match in _WORD.finditer(text):
        raw = match.group()
        if raw[-2:] in ("'s", "'S"):
            raw = raw[:-2]
        folded = fold(raw).strip()
        if folded not in ARTICLES or (folded == "a" and raw == "A" and match.start() > 0):
            found.append(Token(folded, raw, match.start(), match.start() + len(raw)))
    return found


def folded_words(text: str) -> str:
    """Folded words of a text joined by single spaces."""
    return " ".join(token.text for token in words(text))


def clean(response: str) -> str:
    """Unify quotes, dashes and compatibility characters, drop Markdown, headings and answer labels.

    Text from the first "Q:" line on is cut: small models go on to ask themselves the next question.
    """
    text = response if response.isascii() else unicodedata.normalize("NFKC", response)
    text = _NEXT_QUESTION.sub("", text)
    without_headings = _HEADING.sub("", text)
    if without_headings.strip():
        text = without_headings
    text = re.sub(r"\*{2,}|_{2,}|(?<!\w)_(?=\w)|(?<=\w)_(?!\w)", "", text)
    lines = [line for line in text.split("\n") if line.strip()]
    if any(_ITEM.match(line) for line in lines):
        text = "\n".join(_ITEM.sub("• ", line) for line in lines)
    text = text.translate(_PUNCTUATION)
    if not text.isascii():
        text = re.sub(r"([£€¥])(?!\s?\d)", lambda m: f" {_CURRENCIES[m[1]]} ", text)
    text = _INITIALS.sub(lambda m: m.group().replace(".", ""), text)
    text = _INITIAL.sub(
        lambda m: m[1] or m[2] or m[3], _ABBREVIATION.sub(lambda m: m.group(1).replace(".", ""), text)
    )
    return _LABEL.sub("", text).strip()


def list_items(cleaned: str) -> list[str]:
    """The items, if the answer is a bulleted or numbered list from its first line on; else nothing."""
    if not cleaned.startswith("• "):
        return []
    return [line.removeprefix("• ").strip() for line in cleaned.split("\n") if line.startswith("• ")]


def sentences(cleaned: str) -> list[str]:
    """Sentences of cleaned text, in order, without blanks."""
    return [part for piece in _SENTENCE_END.split(cleaned) if (part := piece.strip(" \t•"))]


@lru_cache(maxsize=16384)
def stem(word: str) -> str:
    """A crude stem, good enough to see that two sentences speak of the same thing."""
    word = _IRREGULAR.get(word, word)
    for suffix in ("ies", "ing", "ed", "es", "s"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            word = word[: -len(suffix)] + ("y" if suffix == "ies" else "")
            break
    return word.removesuffix("e") if len(word) > 4 else word


_IRREGULAR = {
    past: present
    for present, pasts in {
        "fall": "fell fallen",
        "begin": "began begun start started starts beginning",
        "build": "built",
        "write": "wrote written",
        "win": "won",
        "found": "founded",
        "die": "died death dead",
        "sing": "sang sung",
        "break": "broke broken",
        "become": "became",
        "make": "made",
        "bear": "born birth",
        "lead": "led",
        "sink": "sank sunk",
        "end": "ended ends finished",
        "kill": "killed assassinated murdered",
        "sign": "signed",
        "give": "gave given",
        "take": "took taken",
        "fight": "fought",
        "steal": "stole stolen",
        "speak": "spoke spoken",
        "find": "discovered discover",
    }.items()
    for past in pasts.split()
}


@lru_cache(maxsize=16384)
def content_stems(text: str) -> frozenset[str]:
    """Stems of the words that carry meaning."""
    return frozenset(stem(token.text) for token in words(text) if token.text not in STOPWORDS)


def singular(word: str) -> str:
    """The word without a plural ending, so that "butterflies" and "butterfly" compare equal."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ses", "xes", "zes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
