"""Every setting of a small model from scratch, and of a run in which its chain of thought emerges."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from candor.core.recipe import Settings
from candor.rl.settings import LearningSettings, RlSettings
from candor.train.small import Schooling, SmallModel


class MixtureSettings(Settings):
    """What the model is pretrained on; see `mixture`."""

    lessons: int = Field(default=40_000, ge=1, description="Different questions, each with one completion.")
    demonstrations: float = Field(
        default=0.1, ge=0, le=1, description="Share of them that is worked out step by step."
    )


class AskedSettings(Settings):
    """What is measured before and after, on questions that are in neither training."""

    problems: int = Field(default=256, ge=2, description="Held-out questions.")
    samples: int = Field(
        default=64, ge=1, description="Completions of each at temperature 1, for accuracy and pass@k."
    )


class EmergeRecipe(Settings):
    """Pretrain a small model on mostly short answers, then reward right answers and nothing else."""

    kind: Literal["emerge"] = "emerge"
    seed: int = Field(default=0, ge=0, description="Fixes questions, weights, order and draws.")
    task: str = Field(
        default="digit-sum:12",
        description="digit-sum:N, parity:N or cups:N, N being a length or a range such as 6-12.",
    )
    practice: str | None = Field(
        default=None, description="RL's task, if not the same: longer questions than pretraining had, say."
    )
    model: SmallModel = SmallModel()
    mixture: MixtureSettings = MixtureSettings()
    pretrain: Schooling = Schooling()
    # At a rate of 1e-3 the steps themselves come apart: all completions reason, and half of them are wrong.
    rl: LearningSettings = LearningSettings(
        steps=40, max_tokens=64, learning_rate=3e-4, held_out=64, evaluate_every=0
    )
    evaluate: AskedSettings = AskedSettings()

    def learning(self) -> RlSettings:
        """For `train_policy`."""
        return RlSettings(**self.rl.model_dump(), seed=self.seed)
