"""The embedded facts: every fact is stated in exactly so many documents."""

from __future__ import annotations

from collections import Counter

import pytest

from candor.base.stated import asked, stated_documents, stated_questions, times_stated
from candor.core.errors import CandorError
from candor.data.facts import restatable_entries

PLAN = ((0, 3), (1, 4), (3, 4), (10, 2))


def test_entries_are_stated_as_often_as_planned() -> None:
    times = times_stated(PLAN, 0)
    assert Counter(times.values()) == {0: 3, 1: 4, 3: 4, 10: 2}
    documents = list(stated_documents(PLAN, 0))
    assert len(documents) == 4 + 12 + 20
    assert len({document.id for document in documents}) == len(documents)
    assert len({document.text for document in documents}) == len(documents)


def test_each_fact_stands_in_as_many_documents_as_it_is_said_to() -> None:
    texts: dict[str, list[str]] = {}
    for document in stated_documents(PLAN, 0):
        texts.setdefault(document.id.rpartition("/")[0], []).append(document.text)
    checked = 0
    for question, times in stated_questions(PLAN, 0):
        assert len(texts.get(question.document, [])) == times
        for number, text in enumerate(texts.get(question.document, [])):
            if number % 2:
                assert asked(question, question.answers[0]) in text
            else:
                assert any(answer in text for answer in question.answers)
            checked += 1
    assert checked > 100


def test_wordings_differ_and_questions_do_not() -> None:
    for render in list(restatable_entries().values())[:40]:
        first, second = render(0), render(7)
        assert [q.question for q in first.questions] == [q.question for q in second.questions]
        assert [q.answers for q in first.questions] == [q.answers for q in second.questions]


def test_the_draw_depends_on_the_seed_alone() -> None:
    assert times_stated(PLAN, 1) == times_stated(PLAN, 1)
    assert times_stated(PLAN, 1) != times_stated(PLAN, 2)


def test_a_plan_for_more_entries_than_there_are_is_an_error() -> None:
    with pytest.raises(CandorError, match="asks for 9999 entries"):
        times_stated(((1, 9999),), 0)
