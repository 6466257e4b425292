"""Two workers on a Ray cluster write what one process writes, bit for bit, and tell errors as it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from logged_shards import RefusedShard, tree

from candor.cluster.ray_workers import RayWorkers
from candor.cluster.shards import Here, Shard, complete
from candor.core.errors import CandorError, InputError
from candor.data.types import Chunk, Question
from candor.engine.choose import Loading
from candor.knowledge.asking import AbilityShard, instead_shards, reply_shards, true_shards
from candor.knowledge.probe import probe_shards
from candor.knowledge.questions import QuestionSettings
from candor.knowledge.recipe import ProbeSettings
from candor.knowledge.writing import PassageShard

PASSAGE = "The Louvre in Paris opened on 10 August 1793 with an exhibition of 537 paintings."


def all_kinds() -> list[Shard]:
    """What a knowledge run does on a cluster, in small."""
    texts = [f"What is the {place}th word of the old book of {place * 7} pages?" for place in range(24)]
    asking = ProbeSettings(max_tokens=8, samples=2, shard=8)
    questions = [
        Question(id=f"q{place}", question=text, answers=("a",), document="d")
        for place, text in enumerate(texts)
    ]
    chunks = [
        Chunk(id=f"{name}#0", document=name, title="Louvre", text=PASSAGE, start=0, end=len(PASSAGE))
        for name in ("d0", "d1")
    ]
    return [
        *probe_shards(questions, asking, seed=3),
        *(PassageShard(name=c.document, chunks=(c,), settings=QuestionSettings()) for c in chunks),
        *reply_shards("replies", texts, asking, [1]),
        *true_shards("true", texts, ["yes"] * len(texts), asking),
        *instead_shards("instead", texts, asking, 28),
        AbilityShard(name="ability"),
    ]


def test_two_workers_write_what_one_process_writes(
    tmp_path: Path, loading: Loading, two_workers: RayWorkers
) -> None:
    shards, engine = all_kinds(), loading.load()
    here, there = tmp_path / "here", tmp_path / "there"
    told: list[str] = []
    done = complete(shards, here, Here(lambda: engine))
    assert complete(shards, there, two_workers, on_done=lambda shard: told.append(shard.name)) == done
    assert tree(there) == tree(here)
    assert sorted(told) == sorted(shard.name for shard in shards)
    # And these are answers: not the same text for all, and states of the model.
    assert len(set((here / "shard-0000.jsonl").read_text().splitlines())) == 8
    assert (here / "replies-0000.safetensors").stat().st_size > 24 * 32 * 4


def test_what_a_shard_raises_comes_back_as_the_error_it_is(tmp_path: Path, two_workers: RayWorkers) -> None:
    log = tmp_path / "log"
    shard = RefusedShard(name="refused", text="x", log=str(log))
    with pytest.raises(CandorError) as caught:
        complete([shard], tmp_path / "out", two_workers)
    assert str(caught.value) == str(
        InputError("expected a text", path="texts.jsonl", line=3, field="text", fix="write one")
    )
    assert len(log.read_text().splitlines()) == 1  # an error is no reason to try again
