"""What held-out conversations cost a model, and what it replies: the same before and after tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from candor.chat import threads
from candor.core.statistics import bootstrap
from candor.data.conversations import Example
from candor.data.encoded import Encoded
from candor.engine.local import LocalEngine
from candor.engine.protocol import Message, Sampling
from candor.model.batches import collate, supervised_places
from candor.tools import Tool
from candor.train.loss import Objective


@dataclass(frozen=True)
class Costs:
    """What conversations cost: both [conversations].

    Attributes:
        nats: of the assistant's tokens of each, whatever its weight.
        tokens: how many of them there are.
    """

    nats: np.ndarray
    tokens: np.ndarray

    def of(self, chosen: np.ndarray) -> Costs:
        """Some of them, by a mask."""
        return Costs(self.nats[chosen], self.tokens[chosen])


def losses(engine: LocalEngine, encoded: Encoded, on_progress: Callable[[int], None] | None = None) -> Costs:
    """Measure every example, and add up those of one conversation."""
    examples = encoded.examples
    objective = Objective(engine.model, max(examples, key=lambda e: len(e.token_ids)).token_ids)
    pad = int(engine.tokenizer.pad_token_id or 0)  # type: ignore[arg-type]
    nats = []
    for example in examples:
        plain = Example(example.token_ids, example.supervised)
        batch = collate([plain], pad_id=pad, packs=objective.packs).to(engine.model.device)
        nats.append(objective.loss(batch))
        if on_progress:
            on_progress(1)
    tokens = [len(supervised_places(example)) for example in examples]
    return Costs(np.bincount(encoded.rows, nats), np.bincount(encoded.rows, tokens))


def loss_a_token(costs: Costs) -> dict[str, Any]:
    """Mean over all supervised tokens, with an interval from resampling conversations."""
    return bootstrap(_mean, costs.nats, costs.tokens, seed=0).as_dict()


def loss_change(before: Costs, after: Costs) -> dict[str, Any]:
    """After minus before, paired by conversation."""
    return bootstrap(_mean, after.nats - before.nats, before.tokens, seed=0).as_dict()


def _mean(nats: np.ndarray, tokens: np.ndarray) -> float:
    return float(nats.sum() / tokens.sum())


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
