"""How sure a model's replies sound, and whether that has anything to do with their being right.

A set of questions (`tone_questions`) is asked with one greedy, short reply each, the same before and after
tuning, so that every change is paired by question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from candor.chat.tone import KINDS, Kind, ToneOfErrors, tone, tone_of_errors
from candor.core.errors import CandorError
from candor.core.statistics import Estimate, paired_difference, proportion
from candor.data.types import Question, Row
from candor.engine.protocol import Engine, Prompt, Sampling
from candor.judge import Verdict, judge

REPLY_TOKENS = 32
# A reply that refuses or hedges; and one that is wrong, and that nothing in its words marks as doubtful.
UNSURE, SURE_AND_WRONG = "unsure", "sure_and_wrong"
MEASURES = (*KINDS, UNSURE, SURE_AND_WRONG)
ALL = "all"

Table = dict[str, dict[str, Estimate]]


class ToneRow(Row):
    """One question and what was replied.

    `level` is that of the question (see `tone_questions`). An answer to a question that nobody could answer
    is not right.
    """

    id: str
    document: str
    level: str
    question: str
    reply: str
    kind: Kind
    right: bool

    def is_so(self, measure: str) -> bool:
        """Whether one of `MEASURES` holds."""
        unsure = self.kind in ("refused", "hedged")
        if measure == SURE_AND_WRONG:
            return not self.right and not unsure
        return unsure if measure == UNSURE else self.kind == measure


def ask_tone(
    engine: Engine, questions: Sequence[Question], *, on_progress: Callable[[int], None] | None = None
) -> list[ToneRow]:
    """Ask each question once, greedily.

    Args:
        engine: of a model with a chat template.
        questions: `kind` is the level that they are grouped by.
        on_progress: called with the number of questions done since the last call.
    """
    prompts: list[Prompt] = [[{"role": "user", "content": question.question}] for question in questions]
    found = engine.generate(prompts, Sampling(max_tokens=REPLY_TOKENS), on_progress=on_progress)
    rows = []
    for question, generation in zip(questions, found, strict=True):
        reply = generation.completions[0].text
        rows.append(
            ToneRow(
                id=question.id,
                document=question.document,
                level=question.kind,
                question=question.question,
                reply=reply,
                kind=tone(reply).kind,
                right=judge(question.question, question.answers, reply) is Verdict.CORRECT,
            )
        )
    return rows


def tone_rates(rows: Sequence[ToneRow]) -> Table:
    """Share of each of `MEASURES` by level and over all, resampled by document."""
    return {
        level: {
            measure: proportion([row.is_so(measure) for row in some], [row.document for row in some])
            for measure in MEASURES
        }
        for level, some in _levels(rows)
    }


def tone_differences(before: Sequence[ToneRow], after: Sequence[ToneRow]) -> Table:
    """After minus before of the same shares, paired by question.

    Raises:
        CandorError: the two are not of the same questions in the same order.
    """
    if [row.id for row in before] != [row.id for row in after]:
        raise CandorError(
            "the two models were not asked the same questions", fix="ask both with questions of one seed"
        )
    later = {row.id: row for row in after}
    return {
        level: {
            measure: paired_difference(
                [later[row.id].is_so(measure) for row in some],
                [row.is_so(measure) for row in some],
                [row.document for row in some],
            )
            for measure in MEASURES
        }
        for level, some in _levels(before)
    }


def tone_and_truth(rows: Sequence[ToneRow]) -> ToneOfErrors:
    """See `tone_of_errors`: refusals are left out, and answers to what nobody could answer are wrong."""
    return tone_of_errors([(row.reply, row.right) for row in rows], [row.document for row in rows])


def tone_metrics(before: Sequence[ToneRow], after: Sequence[ToneRow]) -> dict[str, Any]:
    """Rates before and after, their paired differences, and tone held against truth, as plain values."""
    return {
        "before": plain(tone_rates(before)),
        "after": plain(tone_rates(after)),
        "change": plain(tone_differences(before, after)),
        "truth": {"before": truth_as_json(before), "after": truth_as_json(after)},
    }


def truth_as_json(rows: Sequence[ToneRow]) -> dict[str, Any]:
    """`tone_and_truth` as plain values."""
    return {name: value.as_dict() for name, value in vars(tone_and_truth(rows)).items()}


def plain(table: Table) -> dict[str, Any]:
    """A table as plain values."""
    return {
        level: {measure: estimate.as_dict() for measure, estimate in row.items()}
        for level, row in table.items()
    }


def _levels(rows: Sequence[ToneRow]) -> Iterator[tuple[str, list[ToneRow]]]:
    yield ALL, list(rows)
    for level in dict.fromkeys(row.level for row in rows):
        yield level, [row for row in rows if row.level == level]
