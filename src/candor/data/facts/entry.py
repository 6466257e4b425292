"""An encyclopaedia entry under construction: its sentences, and the facts that can be asked about them."""

from __future__ import annotations

import importlib
import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType

from candor.core.errors import CandorError
from candor.data.types import Document, Question


@dataclass
class Entry:
    """One document with its questions, and the random choices of wording that make entries differ."""

    id: str
    title: str
    source: str
    seed: int
    sentences: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    def __post_init__(self) -> None:
        # A string seed hashes the same way on every machine and in every process.
        self.rng = random.Random(f"{self.seed}:{self.id}")

    def say(self, *wordings: str) -> None:
        """Add one of several wordings of a sentence."""
        self.sentences.append(self.rng.choice(wordings))

    def ask(self, kind: str, question: str, *answers: str) -> None:
        """Add a fact: a question with every accepted answer, the one in the text first."""
        self.questions.append(
            Question(
                id=f"{self.id}/{kind}",
                question=question,
                answers=tuple(dict.fromkeys(with_plain_forms(answers))),
                document=self.id,
                kind=kind,
                origin="fact",
            )
        )

    def document(self) -> Document:
        """Return the sentences as a document of one or two paragraphs."""
        half = len(self.sentences) if len(self.sentences) < 7 else (len(self.sentences) + 1) // 2
        paragraphs = (" ".join(self.sentences[:half]), " ".join(self.sentences[half:]))
        return Document(
            id=self.id, title=self.title, text="\n\n".join(p for p in paragraphs if p), source=self.source
        )


Renderer = Callable[[int], Entry]  # an entry in the wordings of a seed


def with_plain_forms(answers: tuple[str, ...]) -> list[str]:
    """Return the answers, each followed by its spelling without diacritics where that differs."""
    return [form for answer in answers for form in dict.fromkeys((answer, plain(answer))) if form]


def plain(text: str) -> str:
    """Return text without diacritics: São Tomé becomes Sao Tome."""
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text.replace("ø", "o").replace("ł", "l").replace("’", "'"))
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def key(text: str) -> str:
    """Return the letters of a name, for comparing spellings between sources."""
    return "".join(c for c in plain(text).lower() if c.isalpha())


def package(name: str) -> ModuleType:
    """Import one of the packages of facts.

    Raises:
        CandorError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CandorError(
            f"the embedded documents need the package {name.split('.', maxsplit=1)[0]!r}",
            fix='pip install "candor-lm[demo]"',
        ) from error


def listed(names: list[str]) -> str:
    """Join names as English does: "a", "a and b", "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def rounded(number: float) -> str:
    """Write a count to two significant figures: 66,987,244 is "67 million", 41,290 "41,000"."""
    value = round(int(number), 2 - len(str(int(number))))
    for unit, word in ((1_000_000_000, "billion"), (1_000_000, "million")):
        if value >= unit:
            return f"{value / unit:g} {word}"
    return f"{value:,}"
