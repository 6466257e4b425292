"""How a reward model is trained; every default suits preference pairs and a small model."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from candor.train.settings import TrainSettings, TuneSettings

_TRAIN = TrainSettings.model_fields


class LearnSettings(TuneSettings):
    """Settings of a reward model's training."""

    rate_power: ClassVar[float] = 1 / 3  # 1e-3 did best of those tried for 0.1 million weights

    epochs: float = Field(
        default=1.0, gt=0, description="Passes over the data; a second one often learns it by heart."
    )
    batch: int = Field(default=32, ge=1, description="Pairs, or labelled completions, in one update.")
    centre: float = Field(
        default=0.01,
        ge=0,
        description="Weight of (r_chosen + r_rejected)², which keeps rewards near 0 (Eisenstein et al. "
        "2023). Without it rewards of an ensemble's members can't be compared.",
    )
    warmup: float = Field(default=0.1, ge=0, le=1, description=_TRAIN["warmup"].description)
    grad_clip: float = Field(default=1.0, ge=0, description=_TRAIN["grad_clip"].description)


class RewardSettings(LearnSettings):
    """The same with a seed, for `train_reward`."""

    seed: int = Field(default=0, ge=0, description="Of the head's first values and of the order.")
    head_seed: int | None = Field(
        default=None,
        ge=0,
        description="Of the head's first values alone; members whose weights are to be averaged share it.",
    )
    max_tokens: int = Field(default=1024, ge=2, description="Comparisons with a longer text are left out.")
