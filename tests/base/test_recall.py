"""Recall is counted right: on engines whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from candor.base.corpus import Passage
from candor.base.recall import answer, recall, recite
from candor.core.errors import CandorError
from candor.data.types import Question
from candor.engine.protocol import Completion, Generation, Sampling

GIVEN = 32
WORDS = [f"w{number}" for number in range(2 * GIVEN + 20)]


class Oracle:
    """Continues a prompt with what it was told, and likes some answers better than others."""

    model_name, layers, chat = "oracle", 0, False

    def __init__(self, says: dict[str, str], likes: dict[str, float] | None = None) -> None:
        self.says, self.likes = says, likes or {}

    def generate(self, prompts: Sequence[str], sampling: Sampling, **_: object) -> list[Generation]:
        return [
            Generation((Completion(self.says.get(prompt, ""), (), (), "length"),), 1) for prompt in prompts
        ]

    def score(self, prompts: Sequence[str], completions: Sequence[str]) -> list[list[float]]:
        return [
            [self.likes.get(prompt + text, -9.0)] for prompt, text in zip(prompts, completions, strict=True)
        ]


def passage(times: int, name: str = "a") -> Passage:
    return Passage(id=f"{name}{times}", text=" ".join([name, *WORDS]), times=times)


def test_a_passage_is_recited_if_all_its_words_come_in_order() -> None:
    one = passage(3)
    words = one.text.split()
    before, after = " ".join(words[:GIVEN]), words[GIVEN : 2 * GIVEN]
    (whole,) = recite(Oracle({before: " " + " ".join([*after, "and", "more"])}), [one])  # type: ignore[arg-type]
    assert whole.exact
    assert whole.expected == " " + " ".join(after)
    wrong = [*after[:10], "other", *after[11:]]
    (part,) = recite(Oracle({before: " " + " ".join(wrong)}), [one])  # type: ignore[arg-type]
    assert (part.exact, part.words) == (False, 10)
    (none,) = recite(Oracle({}), [one])  # type: ignore[arg-type]
    assert (none.exact, none.words) == (False, 0)


def question(name: str, reply: str, kind: str = "capital") -> Question:
    return Question(
        id=name,
        question=f"What is the {kind} of {name}?",
        answers=(reply, f"the {reply}"),
        document=name,
        kind=kind,
    )


def test_an_answer_is_right_if_it_is_one_of_the_accepted_but_for_case_and_a_stop() -> None:
    asked = [question("Peru", "Lima"), question("Chad", "N'Djamena"), question("Fiji", "Suva")]
    says = {
        "Question: What is the capital of Peru?\nAnswer:": " lima.",
        "Question: What is the capital of Chad?\nAnswer:": " The N'Djamena",
        "Question: What is the capital of Fiji?\nAnswer:": " Suva City",
    }
    rows = answer(Oracle(says), asked, {"Peru": 1, "Chad": 1, "Fiji": 1})  # type: ignore[arg-type]
    assert [row.right for row in rows] == [True, True, False]


def test_the_choice_is_right_only_if_it_is_the_likeliest_of_its_kind() -> None:
    asked = [question(name, f"city {name}") for name in "ABCDEFGHIJKL"]
    stem = "Question: What is the capital of A?\nAnswer:"
    stated = {one.id: 1 for one in asked}
    rows = answer(Oracle({}, {f"{stem} city A": -1.0}), asked, stated)  # type: ignore[arg-type]
    assert [row.chosen for row in rows] == [True] + [False] * 11  # all alike is no choice
    likes = {f"{stem} city A": -1.0} | {f"{stem} city {other}": -0.5 for other in "BCDEFGHIJKL"}
    assert not answer(Oracle({}, likes), asked, stated)[0].chosen  # type: ignore[arg-type]


def test_rows_are_grouped_by_how_often_the_corpus_holds_them(tmp_path: Path) -> None:
    passages = [passage(times, name) for times in (0, 3) for name in "abcd"]
    (tmp_path / "passages.jsonl").write_text("".join(p.model_dump_json() + "\n" for p in passages))
    asked = [question(name, f"city {name}") for name in "ABCD"]
    (tmp_path / "questions.jsonl").write_text("".join(q.model_dump_json() + "\n" for q in asked))
    (tmp_path / "stated.json").write_text(json.dumps({"A": 0, "B": 0, "C": 10, "D": 10}))
    says = {"Question: What is the capital of C?\nAnswer:": "city C"}
    for one in passages:
        if one.times == 3:
            words = one.text.split()
            says[" ".join(words[:GIVEN])] = " " + " ".join(words[GIVEN:])
    # The same beginning stands in a passage of 0 and of 3 times: its words are the same.
    found = recall(Oracle(says), tmp_path)  # type: ignore[arg-type]
    by_times = {row["times"]: row for row in found["facts"]["by_times"]}
    assert by_times[0]["right"]["value"] == 0
    assert by_times[10]["right"]["value"] == 0.5
    assert by_times[10]["right"]["n"] == 2
    assert [row["times"] for row in found["passages"]["by_times"]] == [0, 3]
    assert found["passages"]["by_times"][1]["exact"]["value"] == 1


def test_a_corpus_without_repetitions_or_no_corpus_is_told(tmp_path: Path) -> None:
    with pytest.raises(CandorError, match="no corpus here"):
        recall(Oracle({}), tmp_path)  # type: ignore[arg-type]
    (tmp_path / "passages.jsonl").write_text("")
    with pytest.raises(CandorError, match="nothing a known number of times"):
        recall(Oracle({}), tmp_path)  # type: ignore[arg-type]
