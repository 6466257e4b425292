"""Small models from scratch: made, trained on questions and completions, saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.core.recipe import Settings
from candor.data.conversations import Example
from candor.model.fresh import fresh_model
from candor.train.loop import StepMetrics, TrainResult, fit
from candor.train.settings import TrainSettings


class SmallModel(Settings):
    """Shape of a model. The default has 0.8M weights; depth 6 and width 384 have 10.6M."""

    depth: int = Field(default=4, ge=1, description="Layers.")
    width: int = Field(default=128, ge=32, multiple_of=32, description="Of the residual stream.")
    head: int = Field(default=32, ge=8, multiple_of=4, description="Width of an attention head.")


class Schooling(Settings):
    """How a small model is trained."""

    updates: int = Field(default=600, ge=1, description="Updates of the weights.")
    batch: int = Field(default=256, ge=1, description="Lessons in an update, about.")
    # Muon's at width 128: with .01 nothing but the frequencies of answers was learned, in as many updates.
    learning_rate: float = Field(default=5e-3, gt=0, description="Peak rate; it falls as a cosine.")
    optimizer: Literal["muon", "adamw"] = Field(
        default="muon", description="Muon for matrices between embedding and head, or AdamW for all."
    )
    weight_decay: float = Field(default=0.01, ge=0, description="Decay of matrices.")
    dtype: Literal["bf16", "float32"] = Field(
        default="bf16",  # 2.5 times as fast as float32 at 0.8M weights, 3.4 times at 10M (2 cores with AMX)
        description="Arithmetic; master weights are always float32.",
    )


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
