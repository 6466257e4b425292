"""What a model has kept of its corpus: word for word, and as facts, by how often the corpus holds them.

Passages and facts were given their numbers of repetitions by lot (`corpus`, `stated`), so what differs
between the groups is repetition and nothing else. Each curve begins with what the corpus never says.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from candor.base.corpus import Passage, read_passages
from candor.base.stated import asked
from candor.core.errors import CandorError
from candor.core.files import read_json, read_jsonl
from candor.core.statistics import bootstrap, proportion
from candor.data.types import Question
from candor.engine.protocol import Engine, Sampling

# Words of a passage that are given, and as many that are to follow: much what extraction attacks ask (Carlini
# et al. 2023 give 50 tokens and want 50).
WORDS = 32
_ANSWER_TOKENS = 16
_CHOICES = 10

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Recited:
    """A passage that was begun."""

    id: str
    times: int
    expected: str
    said: str
    words: int  # that agree before the first that does not

    @property
    def exact(self) -> bool:
        """Whether all of it came."""
        return self.words == len(self.expected.split())


@dataclass(frozen=True)
class Answered:
    """A fact that was asked for."""

    id: str
    entry: str
    times: int  # documents that state it
    question: str
    expected: str
    said: str
    right: bool
    chosen: bool  # the likeliest of ten answers was the right one


def recite(
    engine: Engine,
    passages: Sequence[Passage],
    words: int = WORDS,
    on_progress: Progress | None = None,
) -> list[Recited]:
    """Give the first `words` of each passage and compare as many that follow, greedily."""
    halves = [_halves(passage.text, words) for passage in passages]
    longest = max((len(after) for _, after in halves), default=1)
    found = engine.generate(
        [before for before, _ in halves],
        Sampling(max_tokens=max(words, longest // 2)),  # no tokenizer needs more for plain text
        on_progress=on_progress,
    )
    return [
        Recited(passage.id, passage.times, after, said, _agreeing(after, said))
        for passage, (_, after), generation in zip(passages, halves, found, strict=True)
        for said in [generation.completions[0].text]
    ]


def _halves(text: str, words: int) -> tuple[str, str]:
    """A beginning of a text and what follows, both in whole words with the space between on the right."""
    ends = [i for i in range(1, len(text)) if text[i].isspace() and not text[i - 1].isspace()] + [len(text)]
    first, last = ends[words - 1], ends[min(len(ends), 2 * words) - 1]
    return text[:first], text[first:last]


def _agreeing(expected: str, said: str) -> int:
    words = 0
    for mine, theirs in zip(said.split(), expected.split(), strict=False):
        if mine != theirs:
            break
        words += 1
    return words


def answer(
    engine: Engine,
    questions: Sequence[Question],
    stated: dict[str, int],
    *,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> list[Answered]:
    """Ask for each fact as the corpus does, greedily, and rank its answer among nine of the same kind."""
    prompts = [asked(question) for question in questions]
    found = engine.generate(
        prompts, Sampling(max_tokens=_ANSWER_TOKENS, stop=("\n",)), on_progress=on_progress
    )
    choices = [_choices(question, questions, seed) for question in questions]
    stems = [prompt for prompt, options in zip(prompts, choices, strict=True) for _ in options]
    scores = iter(engine.score(stems, [f" {option}" for options in choices for option in options]))
    rows = []
    for question, generation, options in zip(questions, found, choices, strict=True):
        said = generation.completions[0].text.strip()
        ranked = [sum(next(scores)) for _ in options]  # the first option is the right one
        rows.append(
            Answered(
                id=question.id,
                entry=question.document,
                times=stated[question.id],
                question=question.question,
                expected=question.answers[0],
                said=said,
                right=_plain(said) in {_plain(text) for text in question.answers},
                chosen=len(ranked) > 1 and all(ranked[0] > other for other in ranked[1:]),
            )
        )
    return rows


def _choices(question: Question, questions: Sequence[Question], seed: int) -> list[str]:
    """The right answer, then up to nine that other questions of its kind have."""
    accepted = {_plain(text) for text in question.answers}
    others = {other.answers[0] for other in questions if other.kind == question.kind}
    wrong = sorted(text for text in others if _plain(text) not in accepted)
    random.Random(f"{seed}:{question.id}").shuffle(wrong)
    return [question.answers[0], *wrong[: _CHOICES - 1]]


def _plain(text: str) -> str:
    return " ".join(text.casefold().strip().strip(".").split())


def recall(
    engine: Engine,
    corpus: Path,
    *,
    words: int = WORDS,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure both, where the corpus has something to measure.

    Args:
        engine: the model.
        corpus: the folder of a corpus.
        words: of a passage that are given, and that are to follow.
        seed: draws the wrong answers.
        on_progress: called with the number of passages and questions done.

    Returns:
        `passages` and `facts`, each with a row for every number of repetitions and all `items`.

    Raises:
        CandorError: there is no corpus, or nothing in it has a known number of repetitions.
    """
    if not (corpus / "passages.jsonl").is_file():
        raise CandorError(
            f"{corpus}: no corpus here",
            fix="name the --out folder of `candor corpus build` or `candor pretrain`",
        )
    passages = read_passages(corpus)
    questions: list[Question] = []
    if (corpus / "questions.jsonl").is_file():
        questions = read_jsonl(corpus / "questions.jsonl", Question)
    if not passages and not questions:
        raise CandorError(
            f"{corpus}: this corpus holds nothing a known number of times",
            fix="build it with passages (corpus.passages) or with the embedded facts",
        )
    result: dict[str, Any] = {"model": engine.model_name}
    if passages:
        recited = recite(engine, passages, words, on_progress)
        result["passages"] = {
            "words": words,
            "by_times": [_recited(times, rows) for times, rows in _grouped(recited)],
            "items": [asdict(row) for row in recited],
        }
    if questions:
        stated = read_json(corpus / "stated.json")
        answered = answer(engine, questions, stated, seed=seed, on_progress=on_progress)
        result["facts"] = {
            "by_times": [_answered(times, rows) for times, rows in _grouped(answered)],
            "items": [asdict(row) for row in answered],
        }
    return result


def _grouped(rows: Sequence[Any]) -> list[tuple[int, list[Any]]]:
    return [(times, [row for row in rows if row.times == times]) for times in sorted({r.times for r in rows})]


def _recited(times: int, rows: list[Recited]) -> dict[str, Any]:
    shares = [row.words / max(1, len(row.expected.split())) for row in rows]
    return {
        "times": times,
        "exact": proportion([row.exact for row in rows]).as_dict(),
        "share_of_words": bootstrap(np.mean, shares).as_dict(),
    }


def _answered(times: int, rows: list[Answered]) -> dict[str, Any]:
    entries = [row.entry for row in rows]
    return {
        "times": times,
        "entries": len(set(entries)),
        "right": proportion([row.right for row in rows], entries).as_dict(),
        "chosen": proportion([row.chosen for row in rows], entries).as_dict(),
    }
