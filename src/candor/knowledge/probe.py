"""Ask every question closed-book: one greedy answer and several samples from one prefill.

The questions are cut into fixed shards. A shard's result depends on its questions, the model and the seed,
so a killed run repeats the shard it was in and ends with the same files as one that was not killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save

from candor.cluster.shards import Files, Shard, cut
from candor.core.files import json_lines, read_jsonl
from candor.data.types import Question
from candor.engine.protocol import Completion, Engine, Message, Sampling
from candor.knowledge.recipe import ProbeSettings
from candor.knowledge.records import Answer, ProbeRow


def ask(question: str, settings: ProbeSettings) -> list[Message]:
    """The prompt of a closed-book question; training and evaluation ask in the same words."""
    text = f"{question} {settings.instruction}".strip()
    return [{"role": "user", "content": text}]


def layers_of(engine: Engine, settings: ProbeSettings) -> list[int]:
    """The layers to keep; none where the engine has no hidden states to give."""
    if engine.layers == 0:
        return []
    return list(range(engine.layers + 1)) if settings.layers == "all" else list(settings.layers)


class ProbeShard(Shard):
    """Questions to ask; its files are shard-NNNN.jsonl and, with hidden states, shard-NNNN.safetensors.

    Hidden states are [n, layer, width] in float16.
    """

    questions: tuple[Question, ...]
    settings: ProbeSettings
    seed: int  # of the samples

    @property
    def size(self) -> int:
        """Questions."""
        return len(self.questions)

    def work(self, engine: Engine) -> Files:
        """Answer them all."""
        settings, layers = self.settings, layers_of(engine, self.settings)
        plan = [
            Sampling(max_tokens=settings.max_tokens),
            Sampling(
                max_tokens=settings.max_tokens,
                temperature=settings.temperature,
                n=settings.samples,
                seed=self.seed,
            ),
        ]
        prompts = [ask(question.question, settings) for question in self.questions]
        results = engine.generate(prompts, plan, hidden_layers=layers)
        files = {}
        if layers:
            hidden = np.stack([result.hidden for result in results if result.hidden is not None])
            files[f"{self.name}.safetensors"] = save({"hidden": hidden.astype(np.float16)})
        rows = [
            ProbeRow(
                id=question.id,
                greedy=answer_of(result.completions[0]),
                samples=tuple(answer_of(completion) for completion in result.completions[1:]),
                prompt_tokens=result.prompt_tokens,
            )
            for question, result in zip(self.questions, results, strict=True)
        ]
        return {**files, self.mark: "".join(json_lines(rows)).encode()}


def probe_shards(questions: Sequence[Question], settings: ProbeSettings, *, seed: int) -> list[ProbeShard]:
    """All questions, cut into shards.

    Args:
        questions: in the order that defines the shards.
        settings: how to ask.
        seed: with the shard's number, the seed of its samples.
    """
    pieces = cut("shard", questions, settings.shard)
    return [
        ProbeShard(name=name, questions=part, settings=settings, seed=seed * 1_000_003 + number)
        for number, (name, part) in enumerate(pieces)
    ]


def answer_of(completion: Completion) -> Answer:
    """A completion as it is kept on disk."""
    return Answer(
        text=completion.text.strip(),
        logprobs=tuple(round(value, 5) for value in completion.logprobs),
        finish=completion.finish_reason,
    )


def read_probe(folder: Path) -> list[ProbeRow]:
    """All answers, in the order of the shards."""
    return [row for file in sorted(folder.glob("shard-*.jsonl")) for row in read_jsonl(file, ProbeRow)]


def kept_layers(folder: Path, settings: ProbeSettings) -> list[int]:
    """The layers whose hidden states a probing has kept; none where the engine gave none."""
    file = next(iter(sorted(folder.glob("shard-*.safetensors"))), None)
    if file is None:
        return []
    with safe_open(file, "np") as states:
        layers = int(states.get_slice("hidden").get_shape()[1])
    return list(range(layers)) if settings.layers == "all" else list(settings.layers)


def read_hidden(folder: Path) -> np.ndarray | None:
    """Hidden states [question, layer, width] in the order of `read_probe`, or None if none were kept."""
    files = sorted(folder.glob("shard-*.safetensors"))
    if not files:
        return None
    return np.concatenate([load_file(file)["hidden"] for file in files]).astype(np.float32)
