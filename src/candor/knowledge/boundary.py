"""Known, unsure or unknown: where each question lies, from the share of right answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from candor.data.types import Question
from candor.judge import Verdict, judge
from candor.knowledge.recipe import BuildSettings, SplitSettings
from candor.knowledge.records import Boundary, BoundaryRow, ProbeRow
from candor.knowledge.split import split_of


def draw_boundary(
    questions: Mapping[str, Question],
    rows: Sequence[ProbeRow],
    settings: BuildSettings,
    split: SplitSettings,
    *,
    seed: int,
) -> list[BoundaryRow]:
    """Judge every answer and label every question.

    A question is *known* if the greedy answer is right and so is at least `known_at_least` of all answers;
    *unknown* if at most `unknown_at_most` of them is; *unsure* in between. The greedy answer counts as
    one of the answers.
    """
    result = []
    for row in rows:
        question = questions[row.id]
        verdicts = [judge(question.question, question.answers, a.text) for a in (row.greedy, *row.samples)]
        accuracy = sum(verdict == Verdict.CORRECT for verdict in verdicts) / len(verdicts)
        result.append(
            BoundaryRow(
                id=row.id,
                split=split_of(question.document, split, seed),
                greedy=verdicts[0],
                samples=tuple(verdicts[1:]),
                accuracy=round(accuracy, 6),
                label=label_of(verdicts[0], accuracy, settings),
            )
        )
    return result


def label_of(greedy: Verdict, accuracy: float, settings: BuildSettings) -> Boundary:
    """The label of a question; see `draw_boundary`."""
    if greedy == Verdict.CORRECT and accuracy >= settings.known_at_least:
        return "known"
    if greedy != Verdict.CORRECT and accuracy <= settings.unknown_at_most:
        return "unknown"
    return "unsure"
