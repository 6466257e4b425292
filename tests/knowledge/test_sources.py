"""Where questions come from: read, drawn by hash, topped up without asking anything twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from candor.data.types import Document, Question
from candor.knowledge import sources
from candor.knowledge.questions import QuestionHarvest, Rejected
from candor.knowledge.recipe import DataSettings
from candor.knowledge.writing import harvest_from_json, harvest_to_json


def fact(document: str, *answers: str) -> Question:
    key = f"{document}-{answers[0]}"
    return Question(id=key, question=f"{key}?", answers=answers, document=document, origin="fact")


FACTS = [
    fact("france", "Paris"),
    fact("france", "euro", "EUR"),
    fact("italy", "Rome"),
    fact("italy", "euro", "EUR"),
    fact("spain", "Madrid"),
]


@pytest.fixture(autouse=True)
def _facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("candor.data.facts.embedded_questions", lambda: FACTS)


def test_facts_that_were_asked_already_are_left_out() -> None:
    kept = [fact("france", "paris"), fact("italy", "EUR")]  # other case, other alias
    found = sources.top_up(kept, {"france", "italy", "spain"}, 100, seed=0)
    assert {question.id for question in found} == {"france-euro", "italy-Rome", "spain-Madrid"}


def test_same_answer_about_another_document_is_another_fact() -> None:
    found = sources.top_up([fact("spain", "Paris")], {"france"}, 100, seed=0)
    assert "france-Paris" in {question.id for question in found}


def test_only_the_runs_documents_are_asked_about() -> None:
    found = sources.top_up([], {"italy"}, 100, seed=0)
    assert {question.document for question in found} == {"italy"}


@pytest.mark.parametrize(("wanted", "count"), [(3, 2), (1, 0), (0, 0), (100, 5)])
def test_no_more_are_added_than_are_missing(wanted: int, count: int) -> None:
    kept = [fact("peru", "Lima")]
    assert len(sources.top_up(kept, {"france", "italy", "spain"}, wanted, seed=0)) == count


def test_more_rows_asked_for_keep_the_first_ones_whatever_their_order() -> None:
    few = sources.drawn(FACTS, 2, seed=0)
    assert sources.drawn(FACTS[::-1], 4, seed=0)[:2] == few
    assert len({tuple(q.id for q in sources.drawn(FACTS, 5, seed)) for seed in range(20)}) > 5


def test_documents_are_limited_and_what_was_skipped_is_noted(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.txt").write_text(f"About {name}.")
    (tmp_path / "photo.jpg").write_bytes(b"x")
    found, notes = sources.documents(DataSettings(documents=tmp_path, max_documents=3), seed=0)
    assert len(found) == 3
    assert len(notes) == 1
    assert "1 files were skipped" in notes[0]
    assert "photo.jpg" in notes[0]
    everything, _ = sources.documents(DataSettings(documents=tmp_path), seed=0)
    assert everything[:3] == found


def test_chunks_come_from_every_document() -> None:
    found = [Document(id=name, text=" ".join(["word"] * 50) + ".") for name in "ab"]
    chunks = sources.chunks(found, 20)
    assert {chunk.document for chunk in chunks} == {"a", "b"}
    assert all(len(chunk.text.split()) <= 20 for chunk in chunks)


def test_harvest_survives_being_written_to_a_file() -> None:
    kept = Question(
        id="c#0:1",
        question="Who?",
        answers=("Ada",),
        document="c",
        chunk="c#0",
        span=(3, 6),
        origin="generated",
    )
    rejected = Rejected(**dict.fromkeys(Rejected.__dataclass_fields__, "x"))
    harvest = QuestionHarvest(
        kept=[kept], rejected=Counter({"too long": 2}), candidates=3, rejected_rows=[rejected], chunks=1
    )
    again = harvest_from_json(json.loads(json.dumps(harvest_to_json(harvest))))
    assert again == harvest
