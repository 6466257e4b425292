"""The claims about gradients and estimators as numbers, on the enumerable model: `check` says which hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from candor.rewards.bound import max_min_weight
from candor.rewards.exact import gradients, sequences
from candor.rewards.exact.setting import Floats, Setting
from candor.rl import divergence


@dataclass(frozen=True)
class Claim:
    """One gradient beside another: the same, or not.

    Attributes:
        says: the claim in words.
        difference: ‖a - b‖ / ‖b‖, over all parameters.
        same: what is claimed.
    """

    says: str
    difference: float
    same: bool

    @property
    def holds(self) -> bool:
        """Finite differences agree to about 1e-8; gradients of two things differ by far more than a tenth."""
        return self.difference < 1e-5 if self.same else self.difference > 0.1

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "holds": self.holds}


@dataclass(frozen=True)
class Objectives:
    """What may be differentiated, as functions of the logits."""

    setting: Setting
    reference: Floats

    def ratio(self, logits: Floats) -> Floats:
        """ρ of every completion."""
        return np.exp(sequences.logprobs(logits)) / self.setting.weight_N

    def chi2(self, logits: Floats) -> float:
        """χ²(π‖π₀)."""
        return float(self.setting.weight_N @ (self.ratio(logits) - 1) ** 2)

    def kl(self, logits: Floats) -> float:
        """KL(π‖π₀)."""
        logs_N = sequences.logprobs(logits)
        return float(np.exp(logs_N) @ (logs_N - np.log(self.setting.weight_N)))

    def kl_from_reference(self, logits: Floats) -> float:
        """KL(π₀‖π)."""
        return float(-self.setting.weight_N @ np.log(self.ratio(logits)))

    def kl_by_token(self, logits: Floats, prefixes: Floats) -> float:
        """Σ_t KL(π₀(·|y<t) ‖ π(·|y<t)), the prefixes drawn from the policy with the logits `prefixes`."""
        table = sequences.next_token_kl(self.reference, logits)
        return float(np.exp(sequences.logprobs(prefixes)) @ table.sum(axis=1))

    def chi2_by_token(self, logits: Floats) -> float:
        """E_π[Σ_t (ρ_t - 1)]: the sum of what each token's χ² is."""
        logs_YT = sequences.token_logprobs(logits) - sequences.token_logprobs(self.reference)
        return float(np.exp(sequences.logprobs(logits)) @ np.expm1(logs_YT).sum(axis=1))

    def penalised(self, logits: Floats) -> float:
        """E_π[R̃] - λ · sqrt(χ²)."""
        proxy = float(np.exp(sequences.logprobs(logits)) @ self.setting.proxy_N)
        return proxy - self.setting.weight_of_theory * float(np.sqrt(self.chi2(logits)))

    def max_min(self, logits: Floats) -> float:
        """δ̄ - sqrt(1 - r²)/r · sqrt(χ² - δ̄²)."""
        gain = float(np.exp(sequences.logprobs(logits)) @ self.setting.delta)
        return gain - max_min_weight(self.setting.r) * float(np.sqrt(self.chi2(logits) - gain**2))


def some_policy(reference: Floats, seed: int = 1) -> Floats:
    """A policy beside the reference, in no special direction."""
    return reference + np.random.default_rng(seed).normal(scale=0.4, size=reference.shape)


def gradient_claims(reference: Floats, logits: Floats) -> list[Claim]:
    """Every recipe's gradient beside that of the objective that it is, or is taken for."""
    setting = sequences.enumerated_setting(reference)
    of = Objectives(setting, reference)
    ratio_N, chi2 = of.ratio(logits), of.chi2(logits)
    gain = float(np.exp(sequences.logprobs(logits)) @ setting.delta)
    weight = setting.weight_of_theory

    def numeric(value: Callable[[Floats], float]) -> Floats:
        return gradients.finite_differences(value, logits)

    def followed(weight_N: Floats) -> Floats:
        return gradients.expected_gradient(logits, weight_N)

    chi2_slope, kl_slope = numeric(of.chi2), numeric(of.kl)
    from_reference_slope = numeric(of.kl_from_reference)
    in_the_loss = followed(ratio_N - 1 / ratio_N)
    tokens_YT = 1 - np.exp(sequences.token_logprobs(reference) - sequences.token_logprobs(logits))
    k3_by_token = sequences.weighted_score(logits, np.exp(sequences.logprobs(logits))[:, None] * tokens_YT)
    shaped = gradients.chi2_shaped(setting.proxy_N, ratio_N, chi2, weight)
    max_min = gradients.max_min_shaped(setting.delta, ratio_N, gain, chi2, setting.r)
    pairs = [
        (
            "shaped reward R̃ - (λ/√χ²)ρ: of E[R̃] - λ√χ²",
            followed(shaped),
            numeric(of.penalised),
            True,
        ),
        (
            "max-min's shaped reward: of δ̄ - w√(χ² - δ̄²)",
            followed(max_min),
            numeric(of.max_min),
            True,
        ),
        ("mean(ρ + 1/ρ - 2) in the loss: of χ²", in_the_loss, chi2_slope, False),
        (
            "mean(ρ + 1/ρ - 2) in the loss: of ½χ² + KL(π₀‖π)",
            in_the_loss,
            chi2_slope / 2 + from_reference_slope,
            True,
        ),
        ("k1 in the reward: of KL(π‖π₀)", followed(np.log(ratio_N)), kl_slope, True),
        ("k3 of completions in the loss: of KL(π‖π₀)", followed(1 - 1 / ratio_N), kl_slope, False),
        ("k3 of completions in the loss: of KL(π₀‖π)", followed(1 - 1 / ratio_N), from_reference_slope, True),
        ("k3 of tokens in the loss: of KL(π‖π₀)", k3_by_token, kl_slope, False),
        ("k3 of tokens in the loss: of KL(π₀‖π)", k3_by_token, from_reference_slope, False),
        (
            "k3 of tokens in the loss: of Σ KL(π₀‖π) of next tokens, prefixes π's and held",
            k3_by_token,
            numeric(lambda moved: of.kl_by_token(moved, logits)),
            True,
        ),
    ]
    return [Claim(says, gradients.difference(a, b), same) for says, a, b, same in pairs]


def estimators(setting: Setting, ratio_N: Floats, samples: int) -> list[dict[str, Any]]:
    """Mean and standard deviation, exactly, of each estimator of χ² from this many completions.

    Stored completions of the reference cost nothing once they are there, so pooling is shown both ways.
    """
    logs_N = np.log(ratio_N)
    policy_N = setting.weight_N * ratio_N

    def moments(weight_N: Floats, values_N: Floats) -> tuple[float, float]:
        mean = float(weight_N @ values_N)
        return mean, float(weight_N @ (values_N - mean) ** 2)

    of_one = np.array([divergence.chi2_of_policy([log]) for log in logs_N])
    not_negative = np.array([divergence.chi2_not_negative([log]) for log in logs_N])
    pooled = np.array([divergence.chi2_pooled([log], [log]) for log in logs_N])
    plain, positive = moments(policy_N, of_one), moments(policy_N, not_negative)
    ours, stored = moments(policy_N, pooled), moments(setting.weight_N, pooled)
    mean, variance = (ours[0] + stored[0]) / 2, (ours[1] + stored[1]) / 4
    rows = [
        ("mean(ρ) - 1", plain[0], plain[1] / samples),
        ("mean(ρ + 1/ρ - 2)", positive[0], positive[1] / samples),
        ("pooled, half of them the policy's", mean, variance / (samples / 2)),
        ("pooled, with as many stored besides", mean, variance / samples),
    ]
    return [{"estimator": name, "mean": mean, "sd": float(np.sqrt(var))} for name, mean, var in rows]


def best_of_rows(setting: Setting, counts: tuple[int, ...] = (2, 4, 16, 64)) -> list[dict[str, Any]]:
    """χ² of best-of-n here, where many completions tie, beside the formula for continuous rewards."""
    return [
        {
            "n": n,
            **setting.standing(sequences.best_of_n(setting, n)).as_dict(),
            "continuous": divergence.chi2_best_of_n(n),
        }
        for n in counts
    ]
