"""Documents to questions: choose answers, write questions for them, keep those that survive every filter.

For each passage: answer spans by rules (`spans`, `terms`); questions by turning their sentences round
(`turn`), with the generator saying which names are persons; for generators that can do it, questions in their
own words (`generator`); then cheap filters (`filters`); then the round trip (`round_trip`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence

from candor.data.types import Chunk
from candor.engine.protocol import Engine
from candor.knowledge.questions.filters import content_words, form_problem
from candor.knowledge.questions.generator import with_persons, written
from candor.knowledge.questions.harvest import Candidate, QuestionHarvest, deduplicate, require_questions
from candor.knowledge.questions.round_trip import keep_what_survives
from candor.knowledge.questions.settings import QuestionSettings
from candor.knowledge.questions.spans import Span, find_spans
from candor.knowledge.questions.terms import object_spans, subject_spans
from candor.knowledge.questions.turn import turn

SHARD = 32  # chunks: small enough to lose little to a kill, large enough to fill a batch
_NUMERAL = re.compile(r"[A-Z][a-z]+ (?:hundred|thousand|million)$")


def write_questions(
    engine: Engine,
    chunks: Sequence[Chunk],
    settings: QuestionSettings | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    deadline: float | None = None,
) -> QuestionHarvest:
    """Make questions from all chunks, shard by shard.

    Args:
        engine: the generator.
        chunks: passages, with their documents' titles.
        settings: how; the defaults suit a generator of 135M parameters.
        on_progress: called with (chunks done, chunks in all) after each shard.
        deadline: `time.monotonic()` after which no further shard is begun.

    Raises:
        CandorError: not one question came of it.
    """
    settings = settings or QuestionSettings()
    harvest = QuestionHarvest()
    for start in range(0, len(chunks), SHARD):
        if deadline is not None and start and time.monotonic() > deadline:
            break
        harvest.add(write_questions_for_shard(engine, chunks[start : start + SHARD], settings))
        if on_progress:
            on_progress(min(start + SHARD, len(chunks)), len(chunks))
    harvest = deduplicate(harvest)
    require_questions(harvest)
    return harvest


def write_questions_for_shard(
    engine: Engine, chunks: Sequence[Chunk], settings: QuestionSettings
) -> QuestionHarvest:
    """Make questions from a few chunks; the result depends on these chunks, the settings and the model alone."""  # noqa: E501
    harvest = QuestionHarvest(chunks=len(chunks))
    passed: list[Candidate] = []
    for candidate in [*with_persons(engine, list(_turned(chunks))), *written(engine, chunks, settings)]:
        harvest.candidates += 1
        chunk, span = candidate.chunk, candidate.span
        problem = form_problem(candidate.question, span.text, title=chunk.title, text=chunk.text)
        if problem is None:
            problem = _answer_problem(span)
        if problem is None:
            passed.append(candidate)
        else:
            harvest.reject(candidate, problem)
    passed = _limit(passed, settings.candidates_per_chunk, harvest)
    keep_what_survives(engine, passed, settings, harvest)
    return harvest


def _turned(chunks: Sequence[Chunk]) -> Iterable[Candidate]:
    for chunk in chunks:
        seen: set[str] = set()
        spans = find_spans(chunk.text, title=chunk.title, limit=30)
        for span in [*spans, *subject_spans(chunk.text, chunk.title), *object_spans(chunk.text, chunk.title)]:
            for form in turn(chunk.text, span, chunk.title):
                if form.question not in seen:
                    seen.add(form.question)
                    yield Candidate(chunk, span, form.question, form.kind.split(" ")[-1])


def _answer_problem(span: Span) -> str | None:
    """Answers that say nothing: "basic principle", "The Commission's"."""
    if span.text.lower() in ("others", "other", "some", "many", "another", "most", "none", "all"):
        return "poor answer"
    if re.search(r"\b(?:also|apart|only|itself|then|often)$", span.text) or _NUMERAL.match(span.text):
        return "poor answer"
    if not re.search(r"\w", span.text) or span.text.endswith(("'", "’")):
        return "poor answer"
    if span.kind == "term" and not content_words(span.text):
        return "poor answer"
    return None


def _limit(candidates: list[Candidate], most: int, harvest: QuestionHarvest) -> list[Candidate]:
    """The best-ranked candidates of each chunk."""
    by_chunk: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_chunk.setdefault(candidate.chunk.id, []).append(candidate)
    best = []
    for group in by_chunk.values():
        group.sort(key=lambda candidate: -candidate.span.rank)
        best += group[:most]
        for candidate in group[most:]:
            harvest.reject(candidate, "enough candidates")
    return best
