"""Every setting of a run of RL with verifiable rewards."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from candor.core.recipe import Settings
from candor.rl.policy import PolicyModel
from candor.rl.settings import LearningSettings, RlSettings


class RlRecipe(Settings):
    """Make right answers likelier: completions are drawn, checked, and learned from."""

    kind: Literal["rl"] = "rl"
    seed: int = Field(default=0, ge=0, description="Fixes problems and draws.")
    model: PolicyModel = PolicyModel()
    task: str = Field(
        default="addition:2",
        description="What is asked: addition:3, decimals, words:2, gym:NAME, a file in GSM8K's format, …",
    )
    way: str = Field(default="steps", description="How it is asked: direct, reversed, steps, scratchpad, …")
    rewards: tuple[str, ...] = Field(
        default=("correct",),
        min_length=1,
        description="Added up: NAME or NAME=WEIGHT; correct, answered, length, or path.py:function, a "
        "program of your own, which is run.",
    )
    rollouts: Literal["local", "vllm"] = Field(
        default="local", description="What draws completions; local draws from the very weights that learn."
    )
    rl: LearningSettings = LearningSettings()

    def settings(self) -> RlSettings:
        """For `train_policy`."""
        return RlSettings(**self.rl.model_dump(), seed=self.seed)
