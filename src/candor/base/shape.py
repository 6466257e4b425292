"""The dial: from a depth, a whole model and how to train it.

Width is 64 × depth with heads of 64, and a depth of 12 is the shape of GPT-2 (124M with its vocabulary). What
else follows is marked with where it comes from; every value can be set by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.base.recipe import HEAD, PretrainSettings, ShapeSettings
from candor.model.fresh import fresh_model
from candor.train.settings import TrainSettings

# Tokens for each weight (Hoffmann et al. 2022), and passes after which repeating a corpus is worth ever less
# than fresh text (Muennighoff et al. 2023).
_TOKENS_A_WEIGHT, _MOST_EPOCHS = 20, 4.0
# Peak rates at width 256, found on the embedded corpus (docs/LOG.md); they fall with the root of the width.
_RATES = {"muon": 4e-3, "adamw": 4e-3}
_RATE_WIDTH = 256


@dataclass(frozen=True)
class Training:
    """What the settings come to for one model and corpus."""

    settings: TrainSettings
    tokens: int  # in all epochs
    updates: int  # about


def new_model(shape: ShapeSettings, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    """A model with fresh weights."""
    return fresh_model(
        tokenizer,
        depth=shape.depth,
        width=shape.width or HEAD * shape.depth,
        context=shape.context,
        family=shape.family,
        seed=seed,
    )


def weights_of(shape: ShapeSettings, vocabulary: int) -> int:
    """About how many weights a new model has: 12 times the width squared for each layer, and embeddings."""
    width = shape.width or HEAD * shape.depth
    return 12 * shape.depth * width**2 + vocabulary * width


def training_for(
    train: PretrainSettings, weights: int, width: int, corpus_tokens: int, seed: int
) -> Training:
    """Settings of the trainer.

    Args:
        train: what was asked for.
        weights: of the model, embeddings counted once.
        width: of the model.
        corpus_tokens: of one epoch.
        seed: of the run.
    """
    epochs = train.epochs or min(_MOST_EPOCHS, _TOKENS_A_WEIGHT * weights / max(1, corpus_tokens))
    tokens = max(1, round(epochs * corpus_tokens))
    batch = train.batch_tokens or _batch_for(tokens)
    rate = train.learning_rate or _RATES[train.optimizer] * math.sqrt(_RATE_WIDTH / width)
    settings = TrainSettings(
        learning_rate=rate,
        epochs=epochs,
        batch_tokens=batch,
        micro_batch_tokens=train.micro_batch_tokens,
        warmup=train.warmup,
        schedule=train.schedule,
        optimizer=train.optimizer,
        weight_decay=train.weight_decay,
        dtype=train.dtype,
        gradient_checkpointing=train.gradient_checkpointing,
        sharded=train.sharded,
        seed=seed,
        checkpoint_seconds=train.checkpoint_seconds,
    )
    return Training(settings, tokens, -(-tokens // batch))


def _batch_for(tokens: int) -> int:
    """Tokens of an update: the best grows with the tokens of the run to the power of about 0.38.

    Bergsma et al. 2025, "Power Lines": 0.0306 · D^0.383 sequences of 2,048; to the nearest power of two.
    """
    wanted = 2048 * 0.0306 * tokens**0.383
    return max(4096, 1 << round(math.log2(wanted)))
