"""How a reward model is trained; every default suits preference pairs and a small model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from candor.core.recipe import Settings
from candor.train.settings import TrainSettings

_TRAIN = TrainSettings.model_fields
# Peak rates that did best of those tried: 1e-4 for 135 million weights, 1e-3 for 0.1 million.
_RATE, _RATE_WEIGHTS, _RATE_POWER, _LORA_RATE = 1e-4, 135e6, 1 / 3, 10.0


class LearnSettings(Settings):
    """Settings of a reward model's training."""

    learning_rate: float | None = Field(
        default=None, gt=0, description="Peak rate; unset: by the model's size, ten times as much for LoRA."
    )
    epochs: float = Field(
        default=1.0,
        gt=0,
        description="Passes over the data; a second one often learns it by heart.",
    )
    max_steps: int | None = Field(default=None, ge=1, description=_TRAIN["max_steps"].description)
    batch: int = Field(default=32, ge=1, description="Pairs, or labelled completions, in one update.")
    micro_batch_tokens: int = Field(default=4096, ge=1, description=_TRAIN["micro_batch_tokens"].description)
    centre: float = Field(
        default=0.01,
        ge=0,
        description="Weight of (r_chosen + r_rejected)², which keeps rewards near 0 (Eisenstein et al. "
        "2023). Without it rewards of an ensemble's members can't be compared.",
    )
    warmup: float = Field(default=0.1, ge=0, le=1, description=_TRAIN["warmup"].description)
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="linear", description=_TRAIN["schedule"].description
    )
    weight_decay: float = Field(default=0.0, ge=0, description=_TRAIN["weight_decay"].description)
    grad_clip: float = Field(default=1.0, ge=0, description=_TRAIN["grad_clip"].description)
    frozen: float = Field(default=0.0, ge=0, lt=1, description=_TRAIN["frozen"].description)
    lora_rank: int = Field(default=0, ge=0, description=_TRAIN["lora_rank"].description)
    lora_alpha: float = Field(default=32.0, gt=0, description=_TRAIN["lora_alpha"].description)
    dtype: Literal["bf16", "float32"] = Field(default="bf16", description=_TRAIN["dtype"].description)
    gradient_checkpointing: bool = Field(
        default=False, description=_TRAIN["gradient_checkpointing"].description
    )
    checkpoint_seconds: float = Field(
        default=120.0, ge=0, description=_TRAIN["checkpoint_seconds"].description
    )

    def rate(self, weights: int) -> float:
        """The learning rate for a model of so many weights."""
        lora = _LORA_RATE if self.lora_rank else 1.0
        return self.learning_rate or lora * _RATE * (_RATE_WEIGHTS / weights) ** _RATE_POWER

    def optimiser(self, weights: int, seed: int) -> TrainSettings:
        """What the trainer's parts have to know."""
        shared = self.model_dump(include=set(TrainSettings.model_fields) - {"learning_rate", "seed"})
        return TrainSettings(**shared, learning_rate=self.rate(weights), seed=seed)


class RewardSettings(LearnSettings):
    """The same with a seed, for `train_reward`."""

    seed: int = Field(default=0, ge=0, description="Of the head's first values and of the order.")
    head_seed: int | None = Field(
        default=None,
        ge=0,
        description="Of the head's first values alone; members whose weights are to be averaged share it.",
    )
    max_tokens: int = Field(default=1024, ge=2, description="Comparisons with a longer text are left out.")
