from __future__ import annotations

from collections import Counter

import pytest

from candor.chat.tone import (
    Kind,
    tone,
    tone_examples,
    tone_of_errors,
)
from candor.chat.tone_questions import EACH, tone_questions
from candor.judge import Verdict, judge


def test_there_are_labelled_examples_of_every_kind() -> None:
    rows = tone_examples()
    assert len(rows) == len({row.text for row in rows}) >= 60
    assert min(Counter(row.label for row in rows).values()) >= 10


@pytest.mark.parametrize(
    ("kind", "recall", "precision"),
    [("refused", 0.9, 0.9), ("hedged", 0.85, 0.95), ("boosted", 0.9, 0.95), ("bare", 0.95, 0.85)],
)
def test_kinds_are_found_as_the_docstring_says(kind: Kind, recall: float, precision: float) -> None:
    pairs = [(tone(row.text).kind, row.label) for row in tone_examples()]
    both = sum(found == label == kind for found, label in pairs)
    assert both / sum(label == kind for _, label in pairs) >= recall, _mistakes(kind)
    assert both / sum(found == kind for found, _ in pairs) >= precision, _mistakes(kind)


def _mistakes(kind: Kind) -> list[tuple[str, str]]:
    rows = [(tone(row.text).kind, row.label, row.text) for row in tone_examples()]
    return [(found, text) for found, label, text in rows if found != label and kind in (found, label)]


@pytest.mark.parametrize(
    "text",
    [
        "It may rain.",
        "He MIGHT HAVE left.",
        "That’s the case, I think.",
        "I'm not sure, but it is Rome.",
        "I'm not entirely certain, though it is Rome.",
        "I'm pretty sure it is Rome.",
        "I can’t say for certain, but probably Rome.",
    ],
)
def test_a_hedge_is_a_hedge_in_any_spelling_and_no_booster(text: str) -> None:
    assert tone(text).kind == "hedged"
    assert not tone(text).asserted


@pytest.mark.parametrize(
    "text",
    [
        "In May it rained.",
        "The might of Rome was great.",
        "Please speak more clearly.",
        "It is almost always warm there.",
        "That is not definitely settled.",
        "Mr. Mayberry lives in Likelyville.",
        "As always, the shop opens at nine.",
        "She believed him, and he guessed right.",
    ],
)
def test_false_friends_are_bare(text: str) -> None:
    assert (tone(text).kind, tone(text).hedges, tone(text).boosters) == ("bare", (), ())


def test_what_was_found_is_told() -> None:
    found = tone("I think that it is definitely Lima, as far as I know.")
    assert found.hedges == ("I think", "as far as I know")
    assert found.boosters == ("definitely",)
    assert found.kind == "hedged"


def test_tone_is_held_against_correctness_among_answers_only() -> None:
    answered = [("Lima.", True)] * 8 + [("I think Lima.", True)] * 2
    answered += [("Rome.", False)] * 3 + [("Definitely Rome.", False)] + [("Maybe Rome.", False)] * 4
    answered += [("I don't know.", False)] * 5
    found = tone_of_errors(answered)
    assert (found.wrong_asserted.value, found.wrong_asserted.n) == (0.5, 8)
    assert (found.right_asserted.value, found.right_asserted.n) == (0.8, 10)
    assert found.wrong_boosted.value == 0.125
    assert found.difference.value == pytest.approx(0.3)
    assert found.difference.low is not None and found.difference.low < 0.3
    assert tone_of_errors([("Lima.", True)]).wrong_asserted.n == 0


def test_questions_are_eighty_of_four_levels_taking_turns() -> None:
    rows = tone_questions()
    assert len(rows) == len({row.question for row in rows}) == len({row.document for row in rows}) == 80
    assert Counter(row.kind for row in rows) == dict.fromkeys(("easy", "hard", "invented", "private"), EACH)
    assert [row.kind for row in rows[:4]] == ["easy", "hard", "invented", "private"]
    assert rows == tone_questions()
    assert {row.question for row in rows} != {row.question for row in tone_questions(1)}


def test_only_questions_that_can_be_known_accept_an_answer() -> None:
    for row in tone_questions():
        known = row.kind in ("easy", "hard")
        assert (row.answers != ("I don't know",)) == known, row.question
        if known:
            assert judge(row.question, row.answers, row.answers[0]) is Verdict.CORRECT, row.question
