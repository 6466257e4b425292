"""Gradients of penalised objectives on the enumerable model: what each recipe for training follows.

Each function gives the weight of ∇ log π in an update that *ascends*, so that with the same weights a sampled
update estimates what the sum over all completions is exactly.

    true gradient of χ²(π‖π₀) = E_π[ρ] - 1:      ∇χ² = E_π[2ρ ∇ log π]            as E_π[ρ] = E₀[ρ²]
    mean(ρ + 1/ρ - 2) over samples, differentiated with the samples held fixed:
        E_π[(ρ - 1/ρ) ∇ log π] = ½ ∇χ² - E₀[∇ log π] = ½ ∇χ² + ∇ KL(π₀‖π)
    k3 = 1/ρ - 1 + log ρ of whole completions, the same way:
        E_π[(1 - 1/ρ) ∇ log π] = ∇ KL(π₀‖π)                                     as E_π[∇ log π] = 0
    k3 of each token, summed, as trainers have it:
        Σ_t ∇ KL(π₀(·|y<t) ‖ π(·|y<t)), prefixes y<t drawn from π and held fixed. It is neither KL of whole
        completions: in KL(π₀‖π) prefixes are π₀'s, and in KL(π‖π₀) drawing them is differentiated.
    max-min, F = δ̄ - w·sqrt(χ² - δ̄²) with δ̄ = E_π[δ]:
        ∇F = ∇δ̄ - w · (∇χ² - 2δ̄ ∇δ̄) / (2 sqrt(χ² - δ̄²)) = E_π[(δ - w · (ρ - δ̄ δ)/sqrt(χ² - δ̄²)) ∇ log π]
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from candor.rewards.bound import max_min_weight
from candor.rewards.exact import sequences

Floats = NDArray[np.float64]


def chi2_shaped(reward_N: Floats, ratio_N: Floats, chi2: float, weight: float) -> Floats:
    """R' = R̃ - (λ/sqrt(χ²)) · ρ, [completions]: its policy gradient is that of E_π[R̃] - λ · sqrt(χ²)."""
    return reward_N - weight / np.sqrt(chi2) * ratio_N


def chi2_in_the_loss(reward_N: Floats, ratio_N: Floats, chi2: float, weight: float) -> Floats:
    """What differentiating λ · sqrt(mean(ρ + 1/ρ - 2)) with fixed samples follows instead."""
    return reward_N - weight / (2 * np.sqrt(chi2)) * (ratio_N - 1 / ratio_N)


def max_min_shaped(delta: Floats, ratio_N: Floats, gain: float, chi2: float, r: float) -> Floats:
    """R' = δ - w · (ρ - δ̄ δ)/sqrt(χ² - δ̄²), w = sqrt(1 - r²)/r, in standard deviations of the proxy."""
    return delta - max_min_weight(r) / np.sqrt(chi2 - gain**2) * (ratio_N - gain * delta)


def expected_gradient(logits: Floats, weight_N: Floats) -> Floats:
    """E_π[weight · ∇ log π], over all completions, in the parameters' shape."""
    mass_N = np.exp(sequences.logprobs(logits)) * weight_N
    return sequences.weighted_score(logits, mass_N[:, None])


def finite_differences(value: Callable[[Floats], float], logits: Floats, step: float = 1e-5) -> Floats:
    """The gradient of any number that is computed from logits, by central differences."""
    found = np.zeros_like(logits)
    for place in np.ndindex(*logits.shape):
        moved = logits.copy()
        moved[place] += step
        above = value(moved)
        moved[place] -= 2 * step
        found[place] = (above - value(moved)) / (2 * step)
    return found


def difference(a: Floats, b: Floats) -> float:
    """‖a - b‖ / ‖b‖: 0 if two gradients are one, above 1 if one is of no use for the other."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
