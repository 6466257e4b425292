"""What holds the policy near the model that it began as.

A regulariser sees all of a step's completions at once, with their log-probabilities under the policy and
under the reference, so that it may be of the whole distribution (√χ²) as well as of each completion (KL).
Rewards are in the units that they were given in: nothing here divides by their deviation, and advantages must
not do so either, or the weight has another meaning in every group.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from candor.core.errors import InputError
from candor.core.recipe import Settings
from candor.rl import divergence

Floats = NDArray[np.float64]

# Where the policy is still the reference (up to rounding), nothing is divided by its distance from it.
_LEAST = 1e-9


@dataclass(frozen=True)
class Seen:
    """A step's completions as a regulariser sees them.

    Attributes:
        rewards_PS: [prompts, samples].
        policy_NT: [prompts · samples, tokens], log-probability of each drawn token under the policy that drew
            it; 0 where there is none.
        reference_NT: the same under the reference.
        own_NT: where the policy drew a token.
        reference_draws: log-ratios (`divergence.log_ratios`) of completions that the reference drew for the
            same prompts; None if none were asked for.
    """

    rewards_PS: Floats
    policy_NT: Floats
    reference_NT: Floats
    own_NT: NDArray[np.bool_]
    reference_draws: Floats | None = None

    @property
    def log_ratios(self) -> Floats:
        """log ρ of each completion of the policy, [prompts · samples]."""
        return divergence.log_ratios(self.policy_NT, self.reference_NT, self.own_NT)


@dataclass(frozen=True)
class Shaped:
    """What is learned from instead.

    Attributes:
        rewards_PS: [prompts, samples].
        per_token_NT: what is added to each token's advantage; None: nothing.
        chi2: the estimate that the shaping used; None if it used none.
    """

    rewards_PS: Floats
    per_token_NT: Floats | None = None
    chi2: float | None = None


class Regularizer(Protocol):
    """Shapes rewards by how far the policy has gone from the reference."""

    @property
    def reference_samples(self) -> int:
        """Completions of the reference wanted of each prompt of a step; 0: none."""
        ...

    def shaped(self, seen: Seen) -> Shaped:
        """The rewards whose policy gradient is that of the regularised objective."""
        ...


@dataclass(frozen=True)
class KlPenalty:
    """J - weight · KL(policy ‖ reference): the log-ratio of each completion is taken off its reward.

    This is the estimator k1 (Schulman 2020) in the reward. E_π[log ρ · ∇ log π] is the gradient of KL, so the
    policy gradient of these rewards is that of the objective.
    """

    weight: float
    reference_samples: int = 0

    def shaped(self, seen: Seen) -> Shaped:
        """See `Regularizer`."""
        return Shaped(seen.rewards_PS - self.weight * _like(seen, seen.log_ratios))


@dataclass(frozen=True)
class KlLoss:
    """The estimator k3 = 1/ρ - 1 + log ρ of each token in the loss, as GRPO has it (Shao et al. 2024).

    Its gradient, (1 - 1/ρ) ∇ log π at each drawn token, is not that of KL(policy ‖ reference): in expectation
    it is that of KL(reference ‖ policy) at each step of the policy's own completions (Tang and Munos 2025).
    """

    weight: float
    reference_samples: int = 0

    def shaped(self, seen: Seen) -> Shaped:
        """See `Regularizer`."""
        gap = np.where(seen.own_NT, seen.reference_NT - seen.policy_NT, 0.0)
        return Shaped(seen.rewards_PS, self.weight * np.expm1(gap))


@dataclass(frozen=True)
class ChiSquare:
    """J - weight · sqrt(χ²(policy ‖ reference)) (Laidlaw, Singhal, Dragan 2025).

    With weight = sd · sqrt(1 - r²) of the reward under the reference, what is maximised is a lower bound of
    the true reward's gain (`rewards.bound`). The gradient of sqrt(χ²) is E_π[ρ / sqrt(χ²) · ∇ log π], so each
    reward loses weight · ρ / sqrt(χ²). χ² is estimated from the step's completions of both the policy and the
    reference (`divergence.chi2_pooled`).

    Args:
        weight: λ, in units of the reward.
        cap: largest ratio in the penalty: a completion beyond it is held back as one at it. What is
            penalised is then √χ²_cap (`divergence`), whose gradient this is; it is χ² where no ratio is
            beyond, and less where one is: there the objective is no longer a lower bound.
        reference_samples: completions of the reference for each prompt of a step.
    """

    weight: float
    cap: float = 1e4
    reference_samples: int = 4

    def shaped(self, seen: Seen) -> Shaped:
        """See `Regularizer`."""
        ratio_N, chi2 = _distance(seen, self.cap)
        if chi2 < _LEAST:
            return Shaped(seen.rewards_PS, chi2=chi2)
        # Less 1, its mean under the reference: a constant, which the advantage takes away in any case.
        return Shaped(seen.rewards_PS - self.weight * _like(seen, (ratio_N - 1) / np.sqrt(chi2)), chi2=chi2)


@dataclass(frozen=True)
class MaxMin:
    """The worst case over all true rewards of correlation r (Liu, Sun, Zheng 2026), up to positive factors.

    Maximises gain - w · sqrt(χ² - gain²), in the reward's standard deviations under the reference, with w =
    sqrt(1 - r²) / r. With δ the reward in these units and δ̄ its mean under the policy, the gradient of
    sqrt(χ² - δ̄²) is E_π[(ρ - δ̄ δ) / sqrt(χ² - δ̄²) · ∇ log π].

    Args:
        r: correlation of reward and true reward under the reference, in (0, 1].
        mean, sd: of the reward under the reference.
        cap, reference_samples: as for `ChiSquare`.
    """

    r: float
    mean: float
    sd: float
    cap: float = 1e4
    reference_samples: int = 4

    def shaped(self, seen: Seen) -> Shaped:
        """See `Regularizer`."""
        ratio_N, chi2 = _distance(seen, self.cap)
        delta_N = (seen.rewards_PS.ravel() - self.mean) / self.sd
        gain = float(delta_N.mean())
        # An estimate of χ² may be less than gain², which the true one is never.
        across = max(chi2 - gain**2, _LEAST, 1e-3 * chi2)
        if chi2 < _LEAST:
            return Shaped(seen.rewards_PS, chi2=chi2)
        weight = np.sqrt(1 - self.r**2) / self.r
        penalty_N = weight * (ratio_N - 1 - gain * delta_N) / np.sqrt(across)
        return Shaped(seen.rewards_PS - self.sd * _like(seen, penalty_N), chi2=chi2)


def _distance(seen: Seen, cap: float) -> tuple[Floats, float]:
    """The policy's ratios [completions], of at most `cap`, and χ²_cap."""
    own = seen.log_ratios
    ratio_N = np.exp(np.minimum(own, np.log(cap)))
    if seen.reference_draws is None:
        return ratio_N, divergence.chi2_not_negative(own, cap)
    return ratio_N, divergence.chi2_pooled(own, seen.reference_draws, cap)


def _like(seen: Seen, values_N: Floats) -> Floats:
    return values_N.reshape(seen.rewards_PS.shape)


class RegularizerSettings(Settings):
    """What holds the policy near the model at the start."""

    name: Literal["none", "kl", "kl-loss", "chi2", "max-min"] = Field(
        default="none",
        description="kl: the log-ratio off each reward (k1); kl-loss: GRPO's k3 in the loss, another "
        "gradient; chi2: √χ² of whole completions; max-min: the worst case over all true rewards.",
    )
    weight: float | None = Field(
        default=None, ge=0, description="Of kl, kl-loss and chi2, in units of the reward."
    )
    cap: float = Field(
        default=1e4, gt=1, description="chi2, max-min: ratios of a completion count up to this."
    )
    reference_samples: int = Field(
        default=4, ge=1, description="chi2, max-min: completions of the reference for each prompt of a step."
    )


@dataclass(frozen=True)
class ProxyFacts:
    """What max-min has to know of the reward under the reference."""

    r: float
    mean: float
    sd: float = field(default=1.0)


def regularizer_of(settings: RegularizerSettings, facts: ProxyFacts | None = None) -> Regularizer | None:
    """The regulariser by its settings.

    Raises:
        InputError: it needs a weight or facts and there are none.
    """
    if settings.name == "none":
        return None
    if settings.name == "max-min":
        if facts is None or not 0 < facts.r <= 1:
            raise InputError(
                "max-min has to know how the reward correlates with the true one under the reference",
                field="regularizer.name",
                fix="use candor rlhf, which measures it, or choose chi2 with a weight",
            )
        return MaxMin(facts.r, facts.mean, facts.sd, settings.cap, settings.reference_samples)
    if settings.weight is None:
        raise InputError(
            f"the regulariser {settings.name} needs a weight",
            field="regularizer.weight",
            fix="--set rl.regularizer.weight=0.1, in units of the reward; candor rlhf finds chi2's from data",
        )
    if settings.name == "chi2":
        return ChiSquare(settings.weight, settings.cap, settings.reference_samples)
    return (KlPenalty if settings.name == "kl" else KlLoss)(settings.weight)
