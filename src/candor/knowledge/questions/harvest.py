"""What came of some passages: questions kept, candidates rejected, each with its reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from candor.core.errors import CandorError
from candor.data.types import Chunk, Question
from candor.knowledge.questions.filters import content_words
from candor.knowledge.questions.spans import Span


@dataclass(frozen=True)
class Candidate:
    """A question that may be kept: made for `span` of `chunk`."""

    chunk: Chunk
    span: Span
    question: str
    kind: str


@dataclass(frozen=True)
class Rejected:
    """A candidate that was not kept, with the reason and, where a model read it, what it answered."""

    question: str
    answer: str
    chunk: str
    reason: str
    reply: str = ""


@dataclass
class QuestionHarvest:
    """What came of some chunks: `candidates == len(kept) + sum(rejected.values())`."""

    kept: list[Question] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    candidates: int = 0
    rejected_rows: list[Rejected] = field(default_factory=list)
    chunks: int = 0

    def reject(self, candidate: Candidate, reason: str, reply: str = "") -> None:
        """Count a rejected candidate and keep it for inspection."""
        self.rejected[reason] += 1
        row = Rejected(candidate.question, candidate.span.text, candidate.chunk.id, reason, reply)
        self.rejected_rows.append(row)

    def add(self, other: QuestionHarvest) -> None:
        """Add another shard's harvest to this one."""
        self.kept += other.kept
        self.rejected += other.rejected
        self.candidates += other.candidates
        self.rejected_rows += other.rejected_rows
        self.chunks += other.chunks


def require_questions(harvest: QuestionHarvest) -> None:
    """Raise `CandorError` if nothing was kept, saying why and what to try."""
    if harvest.kept:
        return
    reasons = ", ".join(f"{count} {reason}" for reason, count in harvest.rejected.most_common(4))
    seen = (
        f"{harvest.candidates} candidates were rejected: {reasons}" if reasons else "no candidate was found"
    )
    raise CandorError(
        f"no question could be made from {harvest.chunks} passages ({seen})",
        fix="give a larger model with --generator, your own questions with --questions FILE.jsonl, "
        "or longer documents of full sentences that name people, places, dates or numbers",
    )


def deduplicate(harvest: QuestionHarvest) -> QuestionHarvest:
    """Drop questions asked before, in nearly the same words, by an earlier chunk.

    Shards are independent of each other; this is the one step across them.
    """
    result = QuestionHarvest(
        rejected=Counter(harvest.rejected),
        candidates=harvest.candidates,
        rejected_rows=list(harvest.rejected_rows),
        chunks=harvest.chunks,
    )
    seen: set[frozenset[str]] = set()
    for question in harvest.kept:
        words = frozenset(content_words(question.question)) | {question.question.split(" ")[0].lower()}
        if words in seen:
            result.rejected["near-duplicate"] += 1
            row = Rejected(question.question, question.answers[0], question.chunk or "", "near-duplicate")
            result.rejected_rows.append(row)
        else:
            seen.add(words)
            result.kept.append(question)
    return result
