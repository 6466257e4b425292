"""Every setting of a reward model's run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from candor.core.recipe import Settings
from candor.rewards.model.settings import LearnSettings, RewardSettings


class RewardModelSettings(Settings):
    """Which model becomes a reward model."""

    name: str = Field(default="smollm2", description="Checkpoint folder, hub id, .gguf file, or smollm2.")
    template: str | None = Field(
        default=None,
        description="Chat template for prompts of messages: `plain` (base models), `chatml`, a Jinja file; "
        "unset: the model's own. It is saved with the reward model.",
    )
    trust_remote_code: bool = Field(default=False, description="Run code that comes with the checkpoint.")


class RewardDataSettings(Settings):
    """What it learns from."""

    path: Path | None = Field(
        default=None,
        description="Preferences, .jsonl or .jsonl.gz, in TRL's layouts: prompt, chosen, rejected (or only "
        "the last two), or prompt, completion, label. Unset: pairs made of packaged facts (candor-lm[demo]).",
    )
    asked: bool = Field(
        default=False,
        description="Prompts that are strings are what a user asks, answered through the chat template; else "
        "they are raw text that goes on, as TRL has them. (Lists of messages are messages in any case.)",
    )
    embedded: int = Field(default=1600, ge=10, description="So many pairs of packaged facts.")
    most: int | None = Field(default=None, ge=2, description="Take the first rows and no more.")
    held_out: float = Field(
        default=0.15, gt=0, lt=1, description="Share of the prompts that is only measured on."
    )
    max_tokens: int = Field(
        default=1024,
        ge=2,
        description="Rows with a longer text, prompt included, are left out; where the model reads fewer at "
        "once, that many.",
    )


class RewardEvaluationSettings(Settings):
    """What is measured."""

    most: int = Field(default=1000, ge=2, description="Measure on so many held-out rows at most.")
    likelihood: bool = Field(
        default=True, description="Also ask the model, as it was, which completion it finds likelier."
    )
    adversarial: Path | None = Field(
        default=None,
        description="Pairs in which the nicer-looking answer is wrong: LLMBar's layout (input, "
        "output_1, output_2, label, subset), or pairs. Unset: forty embedded ones.",
    )
    caution: float = Field(
        default=1.0, ge=0, description="c of the combination mean - c · variance over members."
    )


class RewardRecipe(Settings):
    """Learn from preferences what a good completion is."""

    kind: Literal["reward"] = "reward"
    seed: int = Field(default=0, ge=0, description="Fixes the split, the order and the heads' first values.")
    model: RewardModelSettings = RewardModelSettings()
    data: RewardDataSettings = RewardDataSettings()
    members: int = Field(
        default=1, ge=1, le=64, description="Train so many, which differ in order and first values."
    )
    averaged: bool = Field(
        default=False,
        description="Also make one model with the mean of the members' weights; heads then begin alike.",
    )
    # Half of the layers: as accurate as all of them where that was tried, in half the time.
    learn: LearnSettings = LearnSettings(frozen=0.5)
    evaluate: RewardEvaluationSettings = RewardEvaluationSettings()

    def settings(self, member: int, context: int) -> RewardSettings:
        """Of a member, from 0, for `train_reward`; `context` is what the model reads at once."""
        return RewardSettings(
            **self.learn.model_dump(),
            seed=self.seed * 1009 + member,
            head_seed=self.seed if self.averaged else None,
            max_tokens=min(self.data.max_tokens, context),
        )
