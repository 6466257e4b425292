"""Ask every question closed-book: one greedy answer and several samples from one prefill.

The questions are cut into fixed shards. A shard's result depends on its questions, the model and the seed,
so a killed run repeats the shard it was in and ends with the same files as one that was not killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from candor.core.files import atomic_path, read_jsonl, write_jsonl
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


def probe_questions(
    engine: Engine,
    questions: Sequence[Question],
    settings: ProbeSettings,
    folder: Path,
    *,
    seed: int,
    on_progress: Callable[[int], None] | None = None,
    deadline: Callable[[], bool] | None = None,
) -> int:
    """Answer all questions, shard by shard, into `folder`.

    Args:
        engine: the model under test.
        questions: in the order that defines the shards.
        settings: how to ask.
        folder: gets shard-NNNN.jsonl and, with hidden states, shard-NNNN.safetensors [n, layer, width].
        seed: with the shard's number, the seed of its samples.
        on_progress: called with the number of questions answered since the last call.
        deadline: asked before each shard after the first; True ends the probing early.

    Returns:
        The number of questions that have answers now.
    """
    layers = layers_of(engine, settings)
    answered = 0
    for number, begin in enumerate(range(0, len(questions), settings.shard)):
        shard = questions[begin : begin + settings.shard]
        rows, states = folder / f"shard-{number:04d}.jsonl", folder / f"shard-{number:04d}.safetensors"
        if not rows.exists():
            if number and deadline is not None and deadline():
                break
            plan = [
                Sampling(max_tokens=settings.max_tokens),
                Sampling(
                    max_tokens=settings.max_tokens,
                    temperature=settings.temperature,
                    n=settings.samples,
                    seed=seed * 1_000_003 + number,
                ),
            ]
            prompts = [ask(question.question, settings) for question in shard]
            results = engine.generate(prompts, plan, hidden_layers=layers)
            if layers:
                hidden = np.stack([result.hidden for result in results if result.hidden is not None])
                with atomic_path(states) as temporary:
                    save_file({"hidden": hidden.astype(np.float16)}, temporary)
            write_jsonl(
                rows,
                [
                    ProbeRow(
                        id=question.id,
                        greedy=answer_of(result.completions[0]),
                        samples=tuple(answer_of(completion) for completion in result.completions[1:]),
                        prompt_tokens=result.prompt_tokens,
                    )
                    for question, result in zip(shard, results, strict=True)
                ],
            )
        answered += len(shard)
        if on_progress:
            on_progress(len(shard))
    return answered


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


def read_hidden(folder: Path) -> np.ndarray | None:
    """Hidden states [question, layer, width] in the order of `read_probe`, or None if none were kept."""
    files = sorted(folder.glob("shard-*.safetensors"))
    if not files:
        return None
    return np.concatenate([load_file(file)["hidden"] for file in files]).astype(np.float32)
