"""Every setting of a run of RLHF."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from candor.core.recipe import Settings
from candor.rewards.rlhf.proxy import Transform
from candor.rl.policy import PolicyModel
from candor.rl.regularizer import RegularizerSettings
from candor.rl.settings import LearningSettings, RlSettings


class ProxySettings(Settings):
    """The reward model, and how its word is taken."""

    model: str = Field(default="", description="Run folder of `candor reward train`, or its checkpoint.")
    combine: Literal["mean", "worst", "uncertainty", "averaged"] = Field(
        default="mean", description="Of an ensemble; a single reward model is taken as it is."
    )
    caution: float = Field(default=1.0, ge=0, description="uncertainty: times the variance over members.")
    transform: Transform = Field(
        default="none", description="par: sigmoid of the reward less the reference's; clip: to its range."
    )


class CalibrationSettings(Settings):
    """The gold labels that the regulariser's weight is found from."""

    prompts: int = Field(default=50, ge=2, description="Prompts with labelled replies of the reference.")
    samples: int = Field(default=4, ge=2, description="Labelled replies of each.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Of the limits.")
    cautious: bool = Field(default=True, description="Take the lower confidence limit of r, and λ at it.")
    shares: tuple[float, ...] = Field(
        default=(1.0,),
        min_length=1,
        description="Shares of the weight (chi2's λ, or --weight) to train with, each a training of its own; "
        "that policy is kept whose gain by gold the labels foresee to be the largest, at least.",
    )

    @field_validator("shares")
    @classmethod
    def _are_weights(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if len({f"{share:g}" for share in shares}) < len(shares) or not all(
            0 < share <= 1 for share in shares
        ):
            raise ValueError(
                "shares have to differ and to lie above 0 and at most at 1, such as [1, 0.5, 0.25]"
            )
        return shares


class RlhfRecipe(Settings):
    """A policy learns from a reward model, held near its reference."""

    kind: Literal["rlhf"] = "rlhf"
    seed: int = Field(default=0, ge=0, description="Fixes prompts and draws.")
    model: PolicyModel = PolicyModel()
    reward: ProxySettings = ProxySettings()
    prompts: Path | None = Field(default=None, description="JSON Lines with `prompt`, or a line each (.txt).")
    gold: str | None = Field(
        default=None,
        description="The true reward, where there is one: path.py:function of (problem, completion), WHICH "
        "IS RUN, or a reward model. Never learned from. Unset: replies are written to be labelled by hand.",
    )
    calibration: CalibrationSettings = CalibrationSettings()
    rl: LearningSettings = LearningSettings(
        steps=60, prompts=16, samples=8, evaluate_every=0, held_out=64,
        regularizer=RegularizerSettings(name="chi2"),
    )  # fmt: skip

    @model_validator(mode="after")
    def _same_distribution(self) -> RlhfRecipe:
        if self.rl.temperature != 1:
            raise ValueError(
                "rl.temperature has to be 1: the bound is about the policy's own distribution, from which "
                "replies are drawn and by which they are scored"
            )
        if self.rl.shots:
            raise ValueError("rl.shots has to be 0: prompts have no answers to show")
        return self

    @model_validator(mode="after")
    def _objective_of_the_bound(self) -> RlhfRecipe:
        name, weight = self.rl.regularizer.name, self.rl.regularizer.weight
        if name in ("kl", "kl-loss") and weight is None:
            raise ValueError(
                f"rl.regularizer.weight is needed with {name} (--weight, in units of the reward); chi2's is "
                "found from gold labels"
            )
        if self.calibration.shares != (1.0,) and name in ("none", "max-min"):
            raise ValueError(
                f"calibration.shares are of a weight, and the regularizer '{name}' has no weight: choose "
                "chi2, kl or kl-loss"
            )
        if self.rl.held_out_samples < 2:
            raise ValueError(
                "rl.held_out_samples has to be 2 or more: how far to trust the reward is seen from several "
                "replies to the same prompt"
            )
        if name not in ("chi2", "max-min"):
            return self
        if self.rl.std and self.rl.advantage != "reinforce++":
            raise ValueError(
                f"rl.std has to be off with {name}: divided by each prompt's deviation, the weight would be "
                "in another unit for every prompt, and what is maximised would be no bound of the true gain"
            )
        if self.rl.normalise != "token":
            raise ValueError(
                f"rl.normalise has to be token with {name}: each completion divided by its own length is not "
                "the gradient of what is to be maximised"
            )
        if self.rl.mask_truncated:
            raise ValueError(
                f"rl.mask_truncated has to be off with {name}: completions that are cut belong to the policy "
                "whose distance is penalised; raise rl.max_tokens instead"
            )
        return self

    def settings(self) -> RlSettings:
        """For `train_policy`."""
        return RlSettings(**self.rl.model_dump(), seed=self.seed)
