from __future__ import annotations

import pytest

from candor.core.errors import CandorError
from candor.core.files import write_jsonl
from candor.engine.local import LocalEngine
from candor.knowledge import ability
from candor.knowledge.anchors import anchor_rows, prose_example
from candor.knowledge.tune import read_anchors


@pytest.fixture(scope="module")
def engine(smollm2: str) -> LocalEngine:
    return LocalEngine.load(smollm2)


def test_the_model_writes_requests_and_prose_the_same_ones_each_time(engine: LocalEngine, tmp_path):
    rows = anchor_rows(engine, engine.tokenizer, 20, seed=1)
    chats, prose = [row for row in rows if "messages" in row], [row for row in rows if "text" in row]
    assert len(prose) == 3 and 12 <= len(chats) <= 17
    asked = [row["messages"][0]["content"] for row in chats]
    assert len(set(asked)) == len(asked) and all("\n" not in text and text == text.strip() for text in asked)
    assert not set(asked) & {row.instruction for row in ability.instructions()}
    assert [turn["role"] for turn in chats[0]["messages"]] == ["user", "assistant"]
    assert rows == anchor_rows(engine, engine.tokenizer, 20, seed=1)
    assert not any(row in rows for row in anchor_rows(engine, engine.tokenizer, 4, seed=2))

    write_jsonl(tmp_path / "keep.jsonl", rows)
    examples = read_anchors(tmp_path / "keep.jsonl", engine.tokenizer)
    assert len(examples) == len(rows) and all(example.keep for example in examples)
    replies = examples[: len(chats)]
    assert all(1 <= sum(example.supervised) <= 24 and not example.supervised[0] for example in replies)
    assert all(all(example.supervised[1:]) for example in examples[len(chats) :]), "all of the prose"


def test_a_server_that_only_chats_gives_none(engine: LocalEngine):
    class ChatOnly:
        def generate(self, prompts, sampling):
            raise CandorError("this server does not continue raw text")

    assert anchor_rows(ChatOnly(), engine.tokenizer, 12, seed=0) == []  # type: ignore[arg-type]


def test_prose_of_a_single_token_can_not_be_kept(engine: LocalEngine):
    assert prose_example("The", engine.tokenizer) is None
    example = prose_example("The cat sat", engine.tokenizer)
    assert example is not None and example.supervised == (False, True, True)
