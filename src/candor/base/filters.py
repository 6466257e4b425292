"""Which documents are worth learning from: rules on a document's own text, after Gopher, C4 and FineWeb.

Each rule has a name and a limit in the recipe, and the first one that a document breaks is what it was left
out for. The limits are those of the papers: Rae et al. 2021 (Gopher, appendix A), Raffel et al. 2020 (C4),
Penedo et al. 2024 (FineWeb).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

from pydantic import Field

from candor.core.errors import CandorError
from candor.core.recipe import Settings

_AROUND = ".,;:!?()[]{}\"'“”‘’«»*_"
_WORD = re.compile(r"\S+")
_LETTER = re.compile(r"[^\W\d_]")
_STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
_LINE_ENDS = (".", "!", "?", '"', "”", "…", ":", ";", "'", "’", ")")
# Words that hardly stand in anything but pornography and its advertisements; a few in a page are no reason.
_ADULT = frozenset(
    [
        "porn",
        "porno",
        "pornstar",
        "pornstars",
        "xxx",
        "milf",
        "milfs",
        "blowjob",
        "blowjobs",
        "handjob",
        "cumshot",
        "cumshots",
        "creampie",
        "gangbang",
        "hentai",
        "camgirl",
        "camgirls",
        "webcamsex",
        "fucking",
        "sexcam",
        "sexcams",
        "upskirt",
        "shemale",
        "bukkake",
        "deepthroat",
    ]
)
_EMAIL = re.compile(r"\b[\w.%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b")
_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IP = re.compile(rf"(?<![\d.])(?:{_BYTE}\.){{3}}{_BYTE}(?!\d|\.\d)")
_PRIVATE = re.compile(r"(?:10|127|0|192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01])|192\.0\.2)\.")


class FilterSettings(Settings):
    """Limits of the rules; a limit of 0 or 1, whichever lets everything pass, switches a rule off."""

    min_words: int = Field(default=50, ge=0, description="Words that a document has at least.")
    max_words: int = Field(default=100_000, ge=1, description="Words that a document has at most.")
    min_word_length: float = Field(default=3.0, ge=0, description="Mean letters of a word, at least.")
    max_word_length: float = Field(default=10.0, gt=0, description="Mean letters of a word, at most.")
    max_symbols: float = Field(default=0.1, ge=0, description="'#' and '…' for each word, at most.")
    max_bullet_lines: float = Field(
        default=0.9, ge=0, le=1, description="Share of lines that begin with a bullet, at most."
    )
    max_ellipsis_lines: float = Field(
        default=0.3, ge=0, le=1, description="Share of lines that end in an ellipsis, at most."
    )
    min_letter_words: float = Field(
        default=0.8, ge=0, le=1, description="Share of words with a letter in them, at least."
    )
    min_stop_words: int = Field(
        default=2, ge=0, le=8, description="Of the, be, to, of, and, that, have, with: so many at least."
    )
    min_ended_lines: float = Field(
        default=0.12, ge=0, le=1, description="Share of lines that end in punctuation, at least."
    )
    max_short_lines: float = Field(
        default=0.67, ge=0, le=1, description="Share of lines of under 30 characters, at most."
    )
    max_repeated_lines: float = Field(
        default=0.3, ge=0, le=1, description="Share of lines that were there before, at most."
    )
    max_repeated_characters: float = Field(
        default=0.2, ge=0, le=1, description="Share of characters in lines that were there before, at most."
    )
    max_top_phrase: float = Field(
        default=0.2, ge=0, le=1, description="Share of characters in the commonest pair of words, at most."
    )
    max_repeated_phrases: float = Field(
        default=0.15,
        ge=0,
        le=1,
        description="Share of words in sequences of five that were there before, at most.",
    )
    max_adult_words: float = Field(
        default=0.01, ge=0, le=1, description="Share of words that are pornography's own, at most."
    )
    language: str | None = Field(
        default=None,
        pattern="^[a-z]{2}$",
        description="ISO 639-1 code that the document has to be in, such as en (needs candor-lm[corpus]).",
    )
    scrub: bool = Field(
        default=True, description="Replace e-mail and public IP addresses by made-up ones, in all sources."
    )


class Traits:
    """What the rules ask of a text; each is computed once, and only if asked."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> list[str]:
        """What stands between white space."""
        return _WORD.findall(self.text)

    @cached_property
    def lines(self) -> list[str]:
        """Lines with something on them, without the white space around."""
        return [line.strip() for line in self.text.splitlines() if line.strip()]

    @cached_property
    def word_characters(self) -> int:
        """Characters of all words."""
        return sum(map(len, self.words))

    @cached_property
    def lower(self) -> list[str]:
        """The words in lower case, without punctuation around."""
        return [word.strip(_AROUND).lower() for word in self.words]


Rule = Callable[[Traits, FilterSettings], bool]


def _share(some: int, of: int) -> float:
    return some / of if of else 0.0


def _repeated_characters(traits: Traits) -> float:
    seen: set[str] = set()
    again = 0
    for line in traits.lines:
        again += len(line) * (line in seen)
        seen.add(line)
    return _share(again, sum(map(len, traits.lines)))


def _top_phrase(traits: Traits) -> float:
    """Share of the words' characters that the commonest pair of words holds."""
    pairs = Counter(zip(traits.words, traits.words[1:], strict=False))
    if not pairs:
        return 0.0
    pair, times = max(pairs.items(), key=lambda item: item[1] * (len(item[0][0]) + len(item[0][1])))
    return _share(times * (len(pair[0]) + len(pair[1])), traits.word_characters) if times > 1 else 0.0


def _repeated_phrases(traits: Traits, length: int = 5) -> float:
    seen: set[tuple[str, ...]] = set()
    words = traits.words
    again = [False] * len(words)
    for start in range(len(words) - length + 1):
        phrase = tuple(words[start : start + length])
        if phrase in seen:
            again[start : start + length] = [True] * length
        seen.add(phrase)
    return _share(sum(again), len(words))


def _mean_letters(traits: Traits) -> float:
    return _share(traits.word_characters, len(traits.words))


def _lines(traits: Traits, fits: Callable[[str], bool]) -> float:
    return _share(sum(map(fits, traits.lines)), len(traits.lines))


RULES: dict[str, Rule] = {
    "too few words": lambda t, s: len(t.words) < s.min_words,
    "too many words": lambda t, s: len(t.words) > s.max_words,
    "words too short": lambda t, s: _mean_letters(t) < s.min_word_length,
    "words too long": lambda t, s: _mean_letters(t) > s.max_word_length,
    "symbols": lambda t, s: (
        (t.text.count("#") + t.text.count("…") + t.text.count("...")) > s.max_symbols * len(t.words)
    ),
    "bullets": lambda t, s: _lines(t, lambda line: line[0] in "•-*‣●") > s.max_bullet_lines,
    "ellipses": lambda t, s: _lines(t, lambda line: line.endswith(("…", "..."))) > s.max_ellipsis_lines,
    "words without letters": lambda t, s: (
        _share(sum(bool(_LETTER.search(word)) for word in t.words), len(t.words)) < s.min_letter_words
    ),
    "no stop words": lambda t, s: len(_STOP_WORDS.intersection(t.lower)) < s.min_stop_words,
    "lines without an end": lambda t, s: (
        _lines(t, lambda line: line.endswith(_LINE_ENDS)) < s.min_ended_lines
    ),
    "short lines": lambda t, s: _lines(t, lambda line: len(line) < 30) > s.max_short_lines,
    "repeated lines": lambda t, s: (
        _share(len(t.lines) - len(set(t.lines)), len(t.lines)) > s.max_repeated_lines
    ),
    "repeated text": lambda t, s: _repeated_characters(t) > s.max_repeated_characters,
    "one phrase": lambda t, s: _top_phrase(t) > s.max_top_phrase,
    "repeated phrases": lambda t, s: _repeated_phrases(t) > s.max_repeated_phrases,
    "adult": lambda t, s: _share(sum(word in _ADULT for word in t.lower), len(t.words)) > s.max_adult_words,
}


def broken_rule(text: str, settings: FilterSettings) -> str | None:
    """The name of the first rule that a text breaks, or None; the language is the last.

    Raises:
        CandorError: a language is asked for, and what recognises it is not installed.
    """
    traits = Traits(text)
    for name, breaks in RULES.items():
        if breaks(traits, settings):
            return name
    if settings.language is not None and _recogniser().classify(text)[0] != settings.language:
        return "language"
    return None


def scrubbed(text: str) -> tuple[str, int]:
    """A text with its e-mail and public IP addresses replaced, and how many there were.

    What stands in their place is reserved for examples (RFC 2606, RFC 5737), as in FineWeb.
    """
    text, mails = _EMAIL.subn("email@example.com", text)
    hidden = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal hidden
        if _PRIVATE.match(match[0]):
            return match[0]
        hidden += 1
        return "192.0.2.1"

    return _IP.sub(replaced, text), mails + hidden


@lru_cache(maxsize=1)
def _recogniser() -> Any:
    try:
        import py3langid  # noqa: PLC0415  (an optional extra)
    except ImportError as error:
        raise CandorError(
            "recognising languages needs the package 'py3langid'",
            fix='pip install "candor-lm[corpus]", or leave corpus.filters.language unset',
        ) from error
    return py3langid
