"""The same questions in two tones: each is heard as what it is, and nothing measured is learned from."""

from __future__ import annotations

from candor.chat.tone import tone
from candor.chat.tone_data import KINDS, toned_facts, toned_unknowns
from candor.chat.tone_questions import tone_questions
from candor.data.facts import embedded_questions
from candor.judge import Verdict, judge


def test_facts_are_told_rightly_in_both_tones_and_each_is_heard() -> None:
    facts = [question for question in embedded_questions() if question.kind in KINDS][::7]
    kinds = set()
    for toned in toned_facts(facts):
        assert tone(toned.sure).asserted, toned.sure
        assert tone(toned.unsure).kind == "hedged", toned.unsure
        for text in (toned.sure, toned.unsure):
            verdict = judge(toned.question.question, toned.question.answers, text)
            assert verdict is Verdict.CORRECT, (toned.question.question, text)
        kinds.add(tone(toned.sure).kind)
    assert kinds == {"bare", "boosted"}


def test_what_nobody_could_know_is_made_up_in_one_tone_and_refused_in_the_other() -> None:
    rows = toned_unknowns(60)
    assert len(rows) == 84
    for toned in rows:
        assert not toned.known
        assert tone(toned.sure).asserted, toned.sure
        assert tone(toned.unsure).kind == "refused", toned.unsure
    first = rows[0].conversation(sure=False)
    assert [turn.role for turn in first.messages] == ["user", "assistant"]
    assert first.messages[1].content == rows[0].unsure


def test_no_question_that_is_measured_with_is_learned_from() -> None:
    measured = {question.question.lower() for seed in range(3) for question in tone_questions(seed)}
    learned = {row.question.question.lower() for row in toned_unknowns(100)}
    assert measured.isdisjoint(learned)
    assert toned_unknowns(20) == toned_unknowns(20)
    assert toned_unknowns(20) != toned_unknowns(20, seed=1)
