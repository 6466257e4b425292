"""Question writing, shard by shard: some passages each, independent of all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from candor.cluster.shards import Files, Shard, cut
from candor.core.files import json_text, read_json
from candor.data.types import Chunk, Question
from candor.engine.protocol import Engine
from candor.knowledge.questions import (
    SHARD,
    QuestionHarvest,
    QuestionSettings,
    Rejected,
    write_questions_for_shard,
)


class PassageShard(Shard):
    """Passages to write questions from; its file is the harvest, shard-NNNN.json."""

    chunks: tuple[Chunk, ...]
    settings: QuestionSettings

    @property
    def size(self) -> int:
        """Passages."""
        return len(self.chunks)

    @property
    def mark(self) -> str:
        """The harvest."""
        return f"{self.name}.json"

    def work(self, engine: Engine) -> Files:
        """Write questions with the generator."""
        harvest = write_questions_for_shard(engine, self.chunks, self.settings)
        return {self.mark: json_text(harvest_to_json(harvest)).encode()}


def passage_shards(chunks: Sequence[Chunk], settings: QuestionSettings) -> list[PassageShard]:
    """All passages, cut into shards."""
    return [
        PassageShard(name=name, chunks=part, settings=settings) for name, part in cut("shard", chunks, SHARD)
    ]


def read_harvest(folder: Path, shards: Sequence[PassageShard]) -> QuestionHarvest:
    """What came of the shards that are done, in their order."""
    harvest = QuestionHarvest()
    for shard in shards:
        if (folder / shard.mark).exists():
            harvest.add(harvest_from_json(read_json(folder / shard.mark)))
    return harvest


def harvest_to_json(harvest: QuestionHarvest) -> dict[str, Any]:
    """A shard's harvest as plain data."""
    return {
        "kept": [question.model_dump(mode="json") for question in harvest.kept],
        "rejected": dict(harvest.rejected),
        "candidates": harvest.candidates,
        "rejected_rows": [asdict(row) for row in harvest.rejected_rows],
        "chunks": harvest.chunks,
    }


def harvest_from_json(value: dict[str, Any]) -> QuestionHarvest:
    """What `harvest_to_json` made plain."""
    return QuestionHarvest(
        kept=[Question.model_validate(row) for row in value["kept"]],
        rejected=Counter(value["rejected"]),
        candidates=value["candidates"],
        rejected_rows=[Rejected(**row) for row in value["rejected_rows"]],
        chunks=value["chunks"],
    )
