"""Every setting of RL with verifiable rewards."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from candor.core.recipe import Settings
from candor.rl.regularizer import RegularizerSettings
from candor.train.settings import TrainSettings

# Peak rates fall with the model's size: 1e-5 for 135 million weights, 3e-4 for 0.8 million.
_RATE, _RATE_WEIGHTS, _RATE_POWER = 1e-5, 135e6, 2 / 3


class LearningSettings(Settings):
    """How a policy learns. A step draws `prompts` · `samples` completions and learns from them."""

    steps: int = Field(default=100, ge=1, description="Steps: completions drawn, rewarded, learned from.")
    prompts: int = Field(default=32, ge=1, description="Problems in a step.")
    samples: int = Field(default=8, ge=1, description="Completions of each problem.")
    max_tokens: int = Field(default=64, ge=1, description="Longest completion.")
    temperature: float = Field(default=1.0, gt=0, description="Completions are drawn at; 1 is the model.")
    stop: tuple[str, ...] = Field(default=(), description="Strings that end a completion, too.")
    shots: int = Field(default=0, ge=0, description="Solved problems shown before each.")
    learning_rate: float | None = Field(
        default=None, gt=0, description="Unset: by the model's size, 1e-5 for 135M weights."
    )
    warmup: int = Field(default=0, ge=0, description="Steps over which the rate rises; then it stays.")
    advantage: Literal["grpo", "rloo", "reinforce++"] = Field(
        default="grpo",
        description="What a reward is compared with: the prompt's mean (grpo), that of the prompt's other "
        "completions (rloo), or the batch's (reinforce++).",
    )
    std: bool | None = Field(
        default=None,
        description="Divide advantages by the rewards' deviation; unset: not for grpo and rloo, where it "
        "favours prompts that are nearly always or nearly never solved.",
    )
    normalise: Literal["token", "sequence"] = Field(
        default="token",
        description="token: every token of the batch weighs alike; sequence: every completion does, so that "
        "a long wrong one is punished less for each token.",
    )
    updates: int = Field(
        default=1, ge=1, description="Updates from a step's completions, each from a part of the problems."
    )
    passes: int = Field(default=1, ge=1, description="Times that every completion is learned from.")
    clip_low: float = Field(
        default=0.2, ge=0, le=1, description="With several updates: a ratio under 1 less this is clipped."
    )
    clip_high: float = Field(
        default=0.28, ge=0, description="With several updates: a ratio over 1 and this is clipped."
    )
    regularizer: RegularizerSettings = RegularizerSettings()
    mask_truncated: bool = Field(
        default=False, description="Don't learn from completions that were cut at max_tokens."
    )
    grad_clip: float = Field(default=1.0, ge=0, description="Largest gradient norm; 0 does not clip.")
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's decay, of matrices only.")
    frozen: float = Field(default=0.0, ge=0, lt=1, description="Share of the lower layers left as they are.")
    micro_batch_tokens: int = Field(
        default=8192, ge=1, description="Tokens pushed through the model at once: bounds memory, not results."
    )
    held_out: int = Field(default=128, ge=1, description="Problems that are asked and never learned from.")
    held_out_samples: int = Field(
        default=8, ge=1, description="Completions of each, at the temperature of training."
    )
    evaluate_every: int = Field(
        default=20, ge=0, description="Steps between evaluations; 0: before and after only."
    )
    check_problems: int = Field(
        default=32, ge=8, description="Problems asked eight times before anything is learned."
    )
    reasoning_slack: int = Field(
        default=4,
        ge=0,
        description="A completion with more tokens than the right answer and these counts as reasoning, "
        "unless the way knows better.",
    )
    kept_samples: int = Field(default=4, ge=0, description="Completions of each step that are kept to read.")
    checkpoint_seconds: float = Field(
        default=120.0, ge=0, description="Save the state for a killed run this often; 0: each step."
    )

    @model_validator(mode="after")
    def _something_to_compare(self) -> Self:
        if self.samples == 1 and self.advantage != "reinforce++":
            raise ValueError(
                f"samples has to be 2 or more with the advantage {self.advantage}: one completion of a "
                "prompt has nothing to be compared with, and nothing would be learned (reinforce++ compares "
                "with the batch)"
            )
        return self

    def rate(self, weights: int) -> float:
        """The learning rate for a model of so many weights."""
        return self.learning_rate or _RATE * (_RATE_WEIGHTS / weights) ** _RATE_POWER

    def optimiser(self, weights: int) -> TrainSettings:
        """What `train.masters` has to know."""
        return TrainSettings(
            learning_rate=self.rate(weights),
            grad_clip=self.grad_clip,
            weight_decay=self.weight_decay,
            frozen=self.frozen,
        )


class RlSettings(LearningSettings):
    """The same with the run's seed, for `train_policy`."""

    seed: int = Field(default=0, ge=0, description="Fixes problems and draws.")
