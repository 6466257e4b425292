"""Known, unsure, unknown: exactly at the documented thresholds."""

from __future__ import annotations

import pytest

from candor.data.types import Question
from candor.judge import Verdict
from candor.knowledge.boundary import draw_boundary, label_of
from candor.knowledge.recipe import BuildSettings, SplitSettings
from candor.knowledge.records import Answer, ProbeRow
from candor.knowledge.split import split_of

RIGHT, WRONG, NONE = Verdict.CORRECT, Verdict.INCORRECT, Verdict.NOT_ATTEMPTED


@pytest.mark.parametrize(
    ("greedy", "accuracy", "label"),
    [
        (RIGHT, 0.5, "known"),
        (RIGHT, 0.499, "unsure"),
        (RIGHT, 1.0, "known"),
        (WRONG, 1.0, "unsure"),  # right when sampled, wrong when asked: nothing to rely on
        (WRONG, 0.0, "unknown"),
        (NONE, 0.0, "unknown"),
        (WRONG, 0.001, "unsure"),
        (RIGHT, 0.001, "unsure"),
    ],
)
def test_labels_at_the_default_thresholds(greedy: Verdict, accuracy: float, label: str) -> None:
    assert label_of(greedy, accuracy, BuildSettings()) == label


@pytest.mark.parametrize(
    ("greedy", "accuracy", "label"),
    [
        (WRONG, 0.25, "unknown"),
        (WRONG, 0.26, "unsure"),
        (RIGHT, 0.25, "unsure"),
        (RIGHT, 0.9, "known"),
        (RIGHT, 0.89, "unsure"),
    ],
)
def test_labels_at_other_thresholds(greedy: Verdict, accuracy: float, label: str) -> None:
    assert label_of(greedy, accuracy, BuildSettings(known_at_least=0.9, unknown_at_most=0.25)) == label


def row(key: str, *texts: str) -> ProbeRow:
    greedy, *samples = (Answer(text=text) for text in texts)
    return ProbeRow(id=key, greedy=greedy, samples=tuple(samples), prompt_tokens=1)


def test_greedy_answer_counts_as_one_of_the_answers() -> None:
    questions = {
        key: Question(
            id=key, question="What is the capital of France?", answers=("Paris",), document="France"
        )
        for key in "abcd"
    }
    rows = [
        row("a", "Paris", "Paris", "Lyon", "Lyon"),  # 2 of 4
        row("b", "Paris", "I don't know.", "Lyon"),  # 1 of 3
        row("c", "Lyon", "Nice", "I don't know."),
        row("d", "Paris", "Lyon", "Paris"),  # whatever the first sample says
    ]
    found = draw_boundary(questions, rows, BuildSettings(), SplitSettings(), seed=0)
    assert [(r.label, r.accuracy) for r in found] == [
        ("known", 0.5),
        ("unsure", 0.333333),
        ("unknown", 0.0),
        ("known", 0.666667),
    ]
    assert found[1].greedy == RIGHT
    assert found[1].samples == (NONE, WRONG)
    assert {r.split for r in found} == {split_of("France", SplitSettings(), 0)}
