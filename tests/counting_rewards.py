"""Preferences that a tiny model learns in seconds: of two strings the one with more of the asked letter."""

from __future__ import annotations

import random

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from candor.model.fresh import fresh_model
from candor.rewards.model import Pair, RewardSettings
from candor.train.characters import character_tokenizer

LETTERS = "abcdefgh"
TINY = RewardSettings(dtype="float32", learning_rate=1e-3, batch=8, epochs=3)


def counting_pairs(count: int, seed: int = 0) -> list[Pair]:
    """A prompt is a letter; the better completion has it more often."""
    draw, found = random.Random(seed), []
    while len(found) < count:
        prompt = draw.choice(LETTERS)
        texts = ["".join(draw.choice(LETTERS + prompt * 4) for _ in range(draw.randint(4, 8))) for _ in "ab"]
        better, worse = sorted(texts, key=lambda text: -text.count(prompt))
        if better.count(prompt) > worse.count(prompt):
            found.append(Pair(prompt + ":", better, worse))
    return found


def tiny(seed: int = 0) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    tokenizer = character_tokenizer(LETTERS + ": ", 64)
    return fresh_model(tokenizer, depth=2, width=64, context=64, head=16, spread=0.06, seed=seed), tokenizer
