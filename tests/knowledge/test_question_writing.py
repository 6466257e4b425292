"""Writing questions: what is kept survives the round trip, and nothing is lost uncounted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from candor.core.errors import CandorError
from candor.data.types import Chunk, Question
from candor.engine.protocol import Completion, Generation, Prompt, Sampling
from candor.knowledge.questions import (
    QuestionHarvest,
    QuestionSettings,
    deduplicate,
    same_answer,
    write_questions,
    write_questions_for_shard,
)

TEXT = (
    "Paris became the capital of France in 987. The Louvre was opened in Paris on 10 August 1793. "
    "The Louvre has 380,000 objects in Paris."
)


def chunk(index: int = 0, text: str = TEXT) -> Chunk:
    return Chunk(id=f"d{index}#0", document=f"d{index}", title="Paris", text=text, start=0, end=len(text))


class Reader:
    """Answers reading prompts from a table (by a word of the question), everything else with `other`."""

    model_name, layers, chat = "reader", 0, False

    def __init__(self, replies: dict[str, str], other: str = "no idea", logprob: float = -0.1) -> None:
        self.replies, self.other, self.logprob = replies, other, logprob

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling | Sequence[Sampling],
        *,
        hidden_layers: Sequence[int] = (),
    ) -> list[Generation]:
        return [self._reply(str(prompt)) for prompt in prompts]

    def _reply(self, prompt: str) -> Generation:
        question = prompt.rsplit("Question: ", 1)[-1] if prompt.endswith("Answer:") else ""
        text = next((reply for word, reply in self.replies.items() if word in question), self.other)
        return Generation((Completion(f" {text}", (1,), (self.logprob,), "stop"),), prompt_tokens=1)

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[list[float]]:
        raise NotImplementedError


GOOD = {"In what year": "987", "On what date": "10 August 1793", "How many": "380,000"}


def test_kept_questions_point_at_their_answer():
    harvest = write_questions(Reader(GOOD), [chunk()])
    assert {question.answers[0] for question in harvest.kept} >= {"10 August 1793", "380,000"}
    for question in harvest.kept:
        assert question.span is not None
        assert TEXT[slice(*question.span)] == question.answers[0]
        assert (question.origin, question.chunk, question.document) == ("generated", "d0#0", "d0")


def test_a_question_whose_round_trip_fails_is_rejected_and_counted():
    harvest = write_questions(Reader({**GOOD, "On what date": "14 July 1789"}), [chunk()])
    assert "10 August 1793" not in {question.answers[0] for question in harvest.kept}
    assert harvest.rejected["round trip: another answer"] >= 1
    rows = [row for row in harvest.rejected_rows if row.answer == "10 August 1793"]
    assert rows and rows[0].reply == "14 July 1789"


def test_an_unsure_round_trip_is_rejected():
    with pytest.raises(CandorError):
        write_questions(Reader(GOOD, logprob=-5.0), [chunk()])


def test_every_candidate_is_kept_or_rejected_once():
    harvest = write_questions(Reader(GOOD), [chunk(0), chunk(1)])
    assert harvest.candidates == len(harvest.kept) + harvest.rejected.total()
    assert len(harvest.rejected_rows) == harvest.rejected.total()


def test_the_same_question_from_another_document_is_kept_once():
    harvest = write_questions(Reader(GOOD), [chunk(0), chunk(1)])
    words = [question.question for question in harvest.kept]
    assert len(words) == len(set(words))
    assert harvest.rejected["near-duplicate"] >= 1


def test_deduplicate_keeps_questions_that_differ_in_one_name():
    def question(index: int, name: str) -> Question:
        return Question(
            id=f"q{index}", question=f"What is the capital of {name}?", answers=("x",), document="d"
        )

    harvest = deduplicate(
        QuestionHarvest(kept=[question(0, "France"), question(1, "Spain"), question(2, "France")])
    )
    assert [one.id for one in harvest.kept] == ["q0", "q1"]


def test_a_shard_does_not_depend_on_the_others():
    settings = QuestionSettings()
    alone = write_questions_for_shard(Reader(GOOD), [chunk(1)], settings).kept
    together = write_questions_for_shard(Reader(GOOD), [chunk(0), chunk(1)], settings).kept
    assert alone == [question for question in together if question.document == "d1"]


def test_no_question_at_all_says_what_to_try():
    with pytest.raises(CandorError, match="no question could be made from 1 passages") as caught:
        write_questions(Reader({}), [chunk(text="and so on")])
    assert (
        caught.value.fix is not None
        and "--generator" in caught.value.fix
        and "--questions" in caught.value.fix
    )


def test_the_limit_a_chunk_is_kept():
    harvest = write_questions(Reader(GOOD), [chunk()], QuestionSettings(max_per_chunk=1))
    assert len(harvest.kept) == 1


def test_a_deadline_in_the_past_still_does_the_first_shard():
    seen: list[tuple[int, int]] = []
    chunks = [chunk(index) for index in range(40)]
    harvest = write_questions(
        Reader(GOOD),
        chunks,
        on_progress=lambda done, all_: seen.append((done, all_)),
        deadline=time.monotonic() - 1,
    )
    assert harvest.kept and seen == [(32, 40)]


def test_the_generator_may_write_questions_of_its_own():
    class Writer(Reader):
        def _reply(self, prompt: str) -> Generation:
            if prompt.startswith("Read the text") and '"10 August 1793"' in prompt:
                text = "On what date was the Louvre in Paris opened?"
                return Generation((Completion(text, (1,), (-0.1,), "stop"),), prompt_tokens=1)
            return super()._reply(prompt)

    settings: dict[str, Any] = {"written_per_span": 1}
    harvest = write_questions(Writer(GOOD), [chunk()], QuestionSettings(**settings))
    everything = [q.question for q in harvest.kept] + [row.question for row in harvest.rejected_rows]
    assert "On what date was the Louvre in Paris opened?" in everything


def test_unknown_settings_are_refused():
    with pytest.raises(ValidationError):
        QuestionSettings.model_validate({"max_per_chunks": 3})


@pytest.mark.parametrize(
    ("reply", "answer", "same"),
    [
        ("The Melbourne Cricket Ground", "Melbourne Cricket Ground", True),
        ("John Bowman", "Bowman", True),
        ("8", "eight", True),
        ("63519", "63,519", True),
        ("1958", "September 1957", False),
        ("37 + 12 = 49", "37", False),
        ("Germany", "France", False),
        ("", "France", False),
    ],
)
def test_same_answer(reply: str, answer: str, same: bool):
    assert same_answer(reply, answer) is same
