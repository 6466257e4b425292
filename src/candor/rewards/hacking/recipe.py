"""Every setting of the laboratory where reward hacking happens."""

from __future__ import annotations

from pydantic import Field

from candor.core.recipe import Settings
from candor.rewards.model.settings import LearnSettings
from candor.rl.settings import LearningSettings
from candor.train.small import Schooling, SmallModel

# Weights of kl and kl-loss are in standard deviations of the proxy under the reference; chi2's are shares of
# λ at the lower confidence limit of r that the labelled sample gives.
ARMS = (
    "none",
    *(f"kl={weight}" for weight in (0.02, 0.05, 0.1, 0.2, 0.5, 1)),
    *(f"kl-loss={weight}" for weight in (0.1, 0.5)),
    "chi2",
    *(f"chi2={share}" for share in (0.5, 0.25, 0.1, 0.05, 0.02)),
    "max-min",
    "mean",
    "worst",
    "uncertainty",
    "par",
    "par+chi2",
    "best-of",
    "pessimism",
)


class PreferenceSettings(Settings):
    """What the reward models learn from."""

    pairs: int = Field(default=500, ge=10, description="Pairs of the reference's replies.")
    noise: float = Field(
        default=0.25, ge=0, lt=0.5, description="Share of pairs labelled the wrong way round."
    )
    members: int = Field(
        default=4, ge=2, description="Reward models in the ensemble; the first is the proxy."
    )


class LabelSettings(Settings):
    """The gold labels that λ is found from."""

    prompts: int = Field(default=50, ge=2, description="Prompts with labelled replies of the reference.")
    samples: int = Field(default=4, ge=2, description="Labelled replies of each.")


class HackingRecipe(Settings):
    """Train one policy for each arm against the same proxy, and see what becomes of the truth."""

    kind: str = Field(default="hacking", pattern="^hacking$")
    seed: int = Field(default=0, ge=0, description="Fixes data, weights and draws.")
    arms: tuple[str, ...] = Field(
        default=ARMS,
        min_length=1,
        description="none; kl=W or kl-loss=W (W in the proxy's deviations); chi2 or chi2=SHARE of λ; "
        "max-min; mean, worst, uncertainty (ensembles); par; par+chi2; best-of, pessimism (nothing trained).",
    )
    harm: float = Field(default=1.0, gt=0, description="What a reply loses for each thing done again.")
    model: SmallModel = SmallModel(depth=2)
    pretrain: Schooling = Schooling(updates=400)
    preferences: PreferenceSettings = PreferenceSettings()
    # The best of six by accuracy on other pairs: at 5e-4 and more, noise is learned by heart.
    reward: LearnSettings = LearnSettings(learning_rate=2e-4, epochs=5, dtype="float32")
    labels: LabelSettings = LabelSettings()
    rl: LearningSettings = LearningSettings(
        steps=100, prompts=32, samples=8, max_tokens=20, learning_rate=3e-4, held_out=64, evaluate_every=0
    )
    judged: int = Field(default=16, ge=2, description="Replies to each held-out question, for each arm.")
