"""What both models are asked for the evaluation, shard by shard: replies, P(True), the ability check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from candor.cluster.shards import Files, Shard, cut
from candor.core.files import json_lines, read_json_lines
from candor.engine.protocol import Engine
from candor.knowledge.evaluate import AbilityRun, measure_ability
from candor.knowledge.recipe import ProbeSettings
from candor.knowledge.records import Answer, ProbeRow
from candor.knowledge.refusal import Reply, answers_instead, reply_to
from candor.knowledge.scores import p_true

_REPLIES = 256
# One token each, or few questions: more at once cost nothing.
_SHORT = 1024


class ReplyShard(Shard):
    """Questions to reply to; with hidden states, these are in NAME.safetensors, [n, layer, width] float32."""

    questions: tuple[str, ...]
    asking: ProbeSettings
    layers: tuple[int, ...]

    @property
    def size(self) -> int:
        """Questions."""
        return len(self.questions)

    def work(self, engine: Engine) -> Files:
        """Reply to all of them, greedily."""
        replies = reply_to(engine, self.questions, self.asking, layers=self.layers)
        rows = [
            {
                "answer": reply.answer.model_dump(mode="json"),
                "refused": reply.refused,
                "refusal": reply.refusal,
            }
            for reply in replies
        ]
        files, hidden = {}, [reply.hidden for reply in replies if reply.hidden is not None]
        if hidden:
            files[f"{self.name}.safetensors"] = save({"hidden": np.stack(hidden)})
        return {**files, self.mark: "".join(json_lines(rows)).encode()}


class InsteadShard(Shard):
    """Questions that the tuned model refused, to hear the answers behind."""

    questions: tuple[str, ...]
    asking: ProbeSettings
    token: int  # the refusals' first one

    @property
    def size(self) -> int:
        """Questions."""
        return len(self.questions)

    def work(self, engine: Engine) -> Files:
        """Answer where no answer may begin with the token."""
        answers = answers_instead(engine, self.questions, self.asking, self.token)
        return {self.mark: "".join(json_lines(answers)).encode()}


class TrueShard(Shard):
    """Questions with the model's own greedy answers, to be asked whether these are right."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    asking: ProbeSettings

    @property
    def size(self) -> int:
        """Questions."""
        return len(self.questions)

    def work(self, engine: Engine) -> Files:
        """P(True) of each answer."""
        rows = [
            ProbeRow(id=str(place), greedy=Answer(text=text), samples=(), prompt_tokens=0)
            for place, text in enumerate(self.answers)
        ]
        found = p_true(engine, self.questions, rows, self.asking)
        return {self.mark: "".join(json_lines({"p_true": value} for value in found)).encode()}


class AbilityShard(Shard):
    """The whole check of general ability."""

    @property
    def size(self) -> int:
        """One check."""
        return 1

    def work(self, engine: Engine) -> Files:
        """Score the passages, follow the instructions."""
        found = measure_ability(engine)
        row = {"logprobs": found.logprobs, "passed": found.passed}
        return {self.mark: "".join(json_lines([row])).encode()}


def reply_shards(
    name: str, questions: Sequence[str], asking: ProbeSettings, layers: Sequence[int]
) -> list[ReplyShard]:
    """Questions, cut into shards of that name."""
    return [
        ReplyShard(name=piece, questions=part, asking=asking, layers=tuple(layers))
        for piece, part in cut(name, questions, _REPLIES)
    ]


def read_replies(folder: Path, shards: Sequence[ReplyShard]) -> list[Reply]:
    """All replies, in the order of the questions."""
    replies = []
    for shard in shards:
        states = folder / f"{shard.name}.safetensors"
        hidden = load_file(states)["hidden"] if states.exists() else [None] * shard.size
        rows = [row for _, row in read_json_lines(folder / shard.mark)]
        for row, state in zip(rows, hidden, strict=True):
            answer = Answer.model_validate(row["answer"])
            replies.append(Reply(answer, row["refused"], row["refusal"], state))
    return replies


def instead_shards(
    name: str, questions: Sequence[str], asking: ProbeSettings, token: int
) -> list[InsteadShard]:
    """Questions, cut into shards of that name."""
    return [
        InsteadShard(name=piece, questions=part, asking=asking, token=token)
        for piece, part in cut(name, questions, _SHORT)
    ]


def read_answers(folder: Path, shards: Sequence[InsteadShard]) -> list[Answer]:
    """All answers, in the order of the questions."""
    return [Answer.model_validate(row) for shard in shards for _, row in read_json_lines(folder / shard.mark)]


def true_shards(
    name: str, questions: Sequence[str], answers: Sequence[str], asking: ProbeSettings
) -> list[TrueShard]:
    """Questions with answers, cut into shards of that name."""
    pairs = list(zip(questions, answers, strict=True))
    return [
        TrueShard(
            name=piece,
            questions=tuple(question for question, _ in part),
            answers=tuple(answer for _, answer in part),
            asking=asking,
        )
        for piece, part in cut(name, pairs, _SHORT)
    ]


def read_p_true(folder: Path, shards: Sequence[TrueShard]) -> list[float]:
    """P(True) of all answers, in the order of the questions."""
    return [row["p_true"] for shard in shards for _, row in read_json_lines(folder / shard.mark)]


def read_ability(folder: Path, shard: AbilityShard) -> AbilityRun:
    """What the check found."""
    row = next(iter(read_json_lines(folder / shard.mark)))[1]
    return AbilityRun(row["logprobs"], row["passed"])
