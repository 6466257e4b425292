"""The data set: the model's own right answers kept word for word, the rest refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from candor.core.errors import CandorError
from candor.core.files import read_json_lines, write_jsonl
from candor.data.conversations import Conversation
from candor.data.types import Question
from candor.engine.gate import REFUSALS, refusal_for
from candor.judge import Verdict, is_refusal
from candor.knowledge.boundary import draw_boundary
from candor.knowledge.build import build_examples, own_answer
from candor.knowledge.pipeline import _require_both
from candor.knowledge.recipe import BuildSettings, ProbeSettings, SplitSettings
from candor.knowledge.records import Answer, BoundaryRow, ProbeRow

PARIS = Question(id="q", question="What is the capital of France?", answers=("Paris",), document="France")


def probed(*answers: Answer | str, key: str = "q") -> ProbeRow:
    greedy, *samples = (a if isinstance(a, Answer) else Answer(text=a) for a in answers)
    return ProbeRow(id=key, greedy=greedy, samples=tuple(samples), prompt_tokens=1)


def built(row: ProbeRow, **settings: Any) -> list[dict[str, Any]]:
    chosen = BuildSettings(**settings)
    boundary = draw_boundary({"q": PARIS}, [row], chosen, SplitSettings(), seed=0)
    return build_examples({"q": PARIS}, {"q": row}, boundary, chosen, ProbeSettings())


def reply(rows: list[dict[str, Any]]) -> str:
    assert len(rows) == 1
    return rows[0]["messages"][-1]["content"]


def test_every_refusal_is_recognised_and_begins_with_the_same_word() -> None:
    assert all(is_refusal(text) for text in REFUSALS)
    assert {text.split()[0].split("'")[0] for text in REFUSALS} == {"I"}
    assert len(set(REFUSALS)) == len(REFUSALS) > 1


def test_wordings_are_half_plain_and_the_rest_spread() -> None:
    counts = Counter(refusal_for(f"question {place}") for place in range(4000))
    assert set(counts) == set(REFUSALS)
    assert counts[REFUSALS[0]] / 4000 == pytest.approx(0.5, abs=0.03)
    others = [counts[text] / 4000 for text in REFUSALS[1:]]
    assert others == pytest.approx([0.5 / len(others)] * len(others), abs=0.02)
    assert refusal_for("x") == refusal_for("x")


def test_known_question_keeps_the_models_own_words() -> None:
    rows = built(probed("It's Paris, on the Seine.", "Paris", "Lyon"))
    assert reply(rows) == "It's Paris, on the Seine."
    assert rows[0]["label"] == "answer"


def test_unknown_question_is_refused() -> None:
    rows = built(probed("Lyon", "Nice", "Lille"))
    assert reply(rows) == refusal_for("q")
    assert rows[0]["label"] == "refuse"


@pytest.mark.parametrize(
    ("policy", "greedy_right", "greedy_wrong"),
    [
        ("greedy", "Paris", refusal_for("q")),
        ("answer", "Paris", "It is Paris."),
        ("refuse", refusal_for("q"), refusal_for("q")),
        ("drop", None, None),
    ],
)
def test_unsure_question_follows_the_policy(
    policy: str, greedy_right: str | None, greedy_wrong: str | None
) -> None:
    for row, expected in (
        (probed("Paris", "Lyon", "Nice", "Lille"), greedy_right),
        (probed("Lyon", "It is Paris.", "Nice", "Lille"), greedy_wrong),
    ):
        rows = built(row, unsure=policy)
        assert (reply(rows) if rows else None) == expected


def test_answer_cut_by_the_length_limit_keeps_its_first_sentence_if_that_is_right() -> None:
    cut = Answer(text="The capital is Paris. It lies on the Sei", finish="length")
    assert own_answer(PARIS, probed(cut)) == "The capital is Paris."


def test_cut_answer_whose_whole_sentence_is_not_right_is_left_out() -> None:
    for text in ("The capital of France is the city of Paris on the", "France is a country. Paris is its ca"):
        cut = Answer(text=text, finish="length")
        assert own_answer(PARIS, probed(cut, Answer(text="Lyon"))) is None
        assert own_answer(PARIS, probed(cut, Answer(text="Paris."))) == "Paris."
    only_cut = Answer(text="Paris is the capital and most of", finish="length")
    assert built(probed(only_cut, only_cut)) == []


def test_greedy_answer_is_preferred_and_then_the_likeliest_sample() -> None:
    unlikely = Answer(text="Paris, I'd say.", logprobs=(-2.0, -2.0))
    likely = Answer(text="It's Paris.", logprobs=(-1.0, -0.1))
    assert own_answer(PARIS, probed("Paris", likely)) == "Paris"
    assert own_answer(PARIS, probed("Lyon", unlikely, likely)) == "It's Paris."
    assert own_answer(PARIS, probed("Lyon", "Nice")) is None


def test_rows_are_conversations_that_ask_as_the_probing_asked(tmp_path: Path) -> None:
    rows = [*built(probed("Paris", "Paris")), *built(probed("Lyon", "Nice"))]
    write_jsonl(tmp_path / "train.jsonl", rows)
    for _, row in read_json_lines(tmp_path / "train.jsonl"):
        conversation = Conversation.model_validate({"messages": row["messages"]})
        assert [turn.role for turn in conversation.messages] == ["user", "assistant"]
        assert conversation.messages[0].content == "What is the capital of France? Answer briefly."
        assert set(row) == {"id", "label", "messages"}


def test_why_there_is_nothing_to_keep_is_told() -> None:
    def boundary(*labels: Any) -> list[BoundaryRow]:
        right = Verdict.CORRECT
        return [
            BoundaryRow(id=str(i), split="train", greedy=right, samples=(right,), accuracy=1.0, label=one)
            for i, one in enumerate(labels)
        ]

    refusals = [{"label": "refuse"}]
    for label, fix in (
        ("known", "1 of them are known, but no right answer is whole"),
        ("unknown", "ask more"),
    ):
        with pytest.raises(CandorError, match="0 answers to keep and 1 to refuse") as told:
            _require_both(refusals, boundary(label, "unknown"))
        assert fix in str(told.value.fix)
    _require_both([*refusals, {"label": "answer"}], boundary("known", "unknown"))
