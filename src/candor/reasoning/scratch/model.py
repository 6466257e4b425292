"""Small models from scratch: made, trained on questions and completions, saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.data.conversations import Example
from candor.model.fresh import fresh_model
from candor.reasoning.scratch.recipe import Schooling, SmallModel
from candor.train.loop import StepMetrics, TrainResult, fit
from candor.train.settings import TrainSettings


def small_model(
    shape: SmallModel, tokenizer: PreTrainedTokenizerBase, context: int, seed: int
) -> PreTrainedModel:
    """A model with fresh weights, in float32."""
    return fresh_model(
        tokenizer,
        depth=shape.depth,
        width=shape.width,
        head=shape.head,
        context=context,
        spread=0.5 / math.sqrt(shape.width),  # the usual .02 at width 625
        seed=seed,
    )


def school(
    model: PreTrainedModel,
    examples: Sequence[Example],
    how: Schooling,
    *,
    pad_id: int,
    seed: int,
    folder: Path | None = None,
    on_step: Callable[[StepMetrics], None] | None = None,
) -> TrainResult:
    """Train on examples for a number of updates, in as many passes as that takes.

    Args:
        model: trained in place.
        examples: see `Characters.example`.
        how: settings.
        pad_id: any valid token.
        seed: of the order.
        folder: where the state of an unfinished training is kept (see `fit`).
        on_step: called after each update.

    Raises:
        CandorError: as `fit`.
    """
    mean = sum(len(example.token_ids) - 1 for example in examples) / max(1, len(examples))
    batch_tokens = round(how.batch * mean)
    settings = TrainSettings(
        learning_rate=how.learning_rate,
        # An update is cut before the budget is full: half an example is lost on average, and the pass's rest.
        epochs=1 + how.updates * (how.batch + 1) / max(1, len(examples)),
        max_steps=how.updates,
        batch_tokens=batch_tokens,
        micro_batch_tokens=8192,
        weight_decay=how.weight_decay,
        optimizer=how.optimizer,
        dtype=how.dtype,
        seed=seed,
    )
    return fit(model, examples, settings, pad_id=pad_id, folder=folder, on_step=on_step)
