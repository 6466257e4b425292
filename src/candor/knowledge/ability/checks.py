"""General ability before and after tuning: do plain instructions still work, is ordinary text still likely?

Teaching "I don't know" can spread to everything. Three packaged sets, all written for this purpose, watch
that: `instructions`, with checks that need no model and that every refusal fails; `texts` of many kinds for
perplexity; and `rehearsal`, other instructions whose replies by the untuned model may be mixed into the
tuning set, so that it rehearses what it could do before (compare LAMOL, Sun et al. 2020). Both sets of
instructions hold questions about invented things whose answer stands in the prompt: there a habit of
refusing does harm first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from candor.core.files import Model, read_jsonl
from candor.core.statistics import Estimate, bootstrap
from candor.data.types import NonEmpty, Row
from candor.judge import is_refusal

REPLY_TOKENS = 60  # the checks were written for greedy replies of at most this many tokens


class Contains(Row):
    """Whole words (or phrases) in any case; a trailing `*` also takes longer words ("bak*": bakery)."""

    type: Literal["contains_all", "contains_any", "contains_none"]
    words: tuple[NonEmpty, ...] = Field(min_length=1)
    least: int = Field(default=1, ge=1, description="contains_any: how many different ones are needed")

    def holds(self, text: str) -> bool:
        """Whether the text contains all, enough or none of the words."""
        found = sum(bool(_word_pattern(word).search(text)) for word in self.words)
        if self.type == "contains_all":
            return found == len(self.words)
        return found >= self.least if self.type == "contains_any" else not found


class Matches(Row):
    """A regular expression is found somewhere in the text; case counts unless it says `(?i)`."""

    type: Literal["regex"]
    pattern: NonEmpty

    def holds(self, text: str) -> bool:
        """Whether the pattern is found."""
        return re.search(self.pattern, text) is not None


class StartsWith(Row):
    """The text begins with one of these words, in any case, after quotes and other signs."""

    type: Literal["starts_with"]
    words: tuple[NonEmpty, ...] = Field(min_length=1)

    def holds(self, text: str) -> bool:
        """Whether the text begins so."""
        start = re.sub(r"^\W+", "", text)
        return any(_word_pattern(word).match(start) for word in self.words)


class Size(Row):
    """Number of words, or of lines that are not blank, within bounds.

    `least` counts different words, so that a loop over one phrase is no text; `most` counts all.
    """

    type: Literal["words", "lines"]
    least: int | None = Field(default=None, ge=1)
    most: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _bounded(self) -> Size:
        if self.least is None and self.most is None:
            raise ValueError("give least, most or both")
        return self

    def holds(self, text: str) -> bool:
        """Whether the size is within the bounds."""
        found = re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())
        if self.type == "lines":
            found = [line.strip() for line in text.splitlines() if line.strip()]
        return (self.least is None or len(set(found)) >= self.least) and (
            self.most is None or len(found) <= self.most
        )


Check = Annotated[Contains | Matches | StartsWith | Size, Field(discriminator="type")]


class Passage(Row):
    """Ordinary text of some kind, for perplexity."""

    id: NonEmpty
    kind: NonEmpty
    text: NonEmpty


class Instruction(Row):
    """A plain instruction and the checks that a reply must all pass."""

    id: NonEmpty
    kind: NonEmpty
    instruction: NonEmpty
    checks: tuple[Check, ...] = Field(min_length=1)


class Rehearsal(Row):
    """An instruction to rehearse; for open-book questions, `answers` of which a usable reply has one."""

    id: NonEmpty
    kind: NonEmpty
    instruction: NonEmpty
    answers: tuple[NonEmpty, ...] = ()

    def usable(self, response: str) -> bool:
        """Whether a reply is worth training on: it does not refuse, and gives the answer where one is set."""
        if is_refusal(response):
            return False
        return not self.answers or any(_word_pattern(answer).search(response) for answer in self.answers)


def texts() -> list[str]:
    """The passages for perplexity, in a fixed order."""
    return [passage.text for passage in passages()]


def passages() -> list[Passage]:
    """The passages for perplexity with their kinds."""
    return list(_read("texts.jsonl", Passage))


def instructions() -> list[Instruction]:
    """The instructions that test whether the model still does as it is told."""
    return list(_read("instructions.jsonl", Instruction))


def rehearsal() -> list[str]:
    """Instructions for rehearsal; none is among, or close to, `instructions`."""
    return [row.instruction for row in rehearsal_rows()]


def rehearsal_rows() -> list[Rehearsal]:
    """The same with their kinds and, for open-book questions, the answers."""
    return list(_read("rehearsal.jsonl", Rehearsal))


def passes(instruction: Instruction, response: str) -> bool:
    """Whether a reply follows the instruction.

    All its checks hold, and the reply is not empty, no refusal, and not just the instruction again, which
    is what small models give when they are lost.
    """
    text = response.strip()
    if is_refusal(text) or _plain(text) == _plain(instruction.instruction):
        return False
    return all(check.holds(text) for check in instruction.checks)


def scoring_pairs() -> tuple[list[str], list[str]]:
    """Prompts and completions for `Engine.score`: each passage's first word, and the rest of it.

    The first word is given because a model without a start token can't predict from nothing.
    """
    cuts = [(text, re.match(r"\S+", text)) for text in texts()]
    pairs = [(text[: cut.end()], text[cut.end() :]) for text, cut in cuts if cut]
    return [prompt for prompt, _ in pairs], [completion for _, completion in pairs]


def perplexity(engine_scores: Sequence[Sequence[float]]) -> list[tuple[float, int]]:
    """Per passage: negative log-likelihood in nats, and the number of tokens.

    Args:
        engine_scores: natural log-probability of each token, by passage, as `Engine.score` returns them.
    """
    return [(-math.fsum(scores), len(scores)) for scores in engine_scores]


def perplexity_estimate(
    before: Sequence[Sequence[float]], after: Sequence[Sequence[float]] | None = None, *, seed: int = 0
) -> Estimate:
    """Perplexity of the passages, or the ratio of perplexities after / before, with a bootstrap by passage.

    Perplexity is exp(Σ nll / Σ tokens) over all passages together. For the ratio a replicate draws the same
    passages on both sides, so its interval is that of the paired comparison. The ratio is of perplexities
    by token, which compares models with one tokenizer only.

    Args:
        before: log-probabilities of each token by passage.
        after: the same passages under the other model; None for the perplexity of `before` alone.
        seed: of the bootstrap.

    Raises:
        ValueError: the two differ in the number of passages, or of tokens in one of them.
    """
    old = np.asarray(perplexity(before), dtype=np.float64).reshape(-1, 2)
    if after is None:
        return bootstrap(_per_token, old[:, 0], old[:, 1], seed=seed)
    new = np.asarray(perplexity(after), dtype=np.float64).reshape(-1, 2)
    if old.shape != new.shape or (old[:, 1] != new[:, 1]).any():
        raise ValueError("before and after must score the same tokens of the same passages")
    return bootstrap(_per_token, new[:, 0] - old[:, 0], old[:, 1], seed=seed)


def _per_token(nll: NDArray[np.float64], tokens: NDArray[np.float64]) -> float | None:
    """exp of the mean; of a difference of nll sums it is the ratio of two perplexities."""
    total = float(tokens.sum())
    return math.exp(float(nll.sum()) / total) if total else None


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


@lru_cache(maxsize=512)
def _word_pattern(word: str) -> re.Pattern[str]:
    ending = "" if word.endswith("*") else r"(?!\w)"
    return re.compile(rf"(?<!\w){re.escape(word.removesuffix('*'))}{ending}", re.IGNORECASE)


@lru_cache(maxsize=8)
def _read(name: str, model: type[Model]) -> tuple[Model, ...]:
    with as_file(files("candor.knowledge.ability") / name) as path:
        return tuple(read_jsonl(path, model))
