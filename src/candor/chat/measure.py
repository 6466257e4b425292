"""What held-out conversations cost a model, and what it replies: the same before and after tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from candor.chat import threads
from candor.core.statistics import bootstrap
from candor.data.conversations import Example
from candor.engine.local import LocalEngine
from candor.engine.protocol import Message, Sampling
from candor.model.batches import collate, supervised_places
from candor.tools import Tool
from candor.train.loss import Objective


def losses(
    engine: LocalEngine, examples: Sequence[Example], on_progress: Callable[[int], None] | None = None
) -> list[float]:
    """Nats that the assistant's tokens of each example cost together, whatever its weight."""
    objective = Objective(engine.model, max(examples, key=lambda e: len(e.token_ids)).token_ids)
    pad = int(engine.tokenizer.pad_token_id or 0)  # type: ignore[arg-type]
    found = []
    for example in examples:
        plain = Example(example.token_ids, example.supervised)
        batch = collate([plain], pad_id=pad, packs=objective.packs).to(engine.model.device)
        found.append(objective.loss(batch))
        if on_progress:
            on_progress(1)
    return found


def loss_a_token(nats: Sequence[float], examples: Sequence[Example]) -> dict[str, Any]:
    """Mean over all supervised tokens, with an interval from resampling conversations."""
    tokens = [len(supervised_places(example)) for example in examples]
    return bootstrap(lambda cost, size: float(cost.sum() / size.sum()), nats, tokens, seed=0).as_dict()


def loss_change(
    before: Sequence[float], after: Sequence[float], examples: Sequence[Example]
) -> dict[str, Any]:
    """After minus before, paired by conversation."""
    tokens = [len(supervised_places(example)) for example in examples]
    return bootstrap(
        lambda a, b, size: float((a - b).sum() / size.sum()), after, before, tokens, seed=0
    ).as_dict()


def replies(
    engine: LocalEngine, prompts: Sequence[str], tokens: int, seed: int, tools: tuple[Tool, ...] = ()
) -> list[dict[str, Any]]:
    """The likeliest reply to each first message, and a draw; whether the model ended them by itself."""
    settings = [
        Sampling(max_tokens=tokens, tools=tools),
        Sampling(max_tokens=tokens, temperature=0.8, seed=seed, tools=tools),
    ]
    asked: list[list[Message]] = [[Message(role="user", content=prompt)] for prompt in prompts]
    rows = []
    for prompt, found in zip(prompts, engine.generate(asked, settings), strict=True):
        greedy, drawn = found.completions
        rows.append(
            {
                "prompt": prompt,
                "greedy": greedy.text,
                "drawn": drawn.text,
                "ended": greedy.finish_reason == "stop",
            }
        )
    return rows


def threads_metrics(before: threads.ThreadResults, after: threads.ThreadResults) -> dict[str, Any]:
    """Rates before and after and their paired differences, by category and measure."""
    tables = {
        "before": before.rates(),
        "after": after.rates(),
        "change": threads.compare(before.rows, after.rows),
    }
    return {
        moment: {
            group: {measure: estimate.as_dict() for measure, estimate in row.items()}
            for group, row in table.items()
        }
        for moment, table in tables.items()
    }
