"""How far a policy π has gone from its reference π₀, estimated from sampled completions.

    ρ = π(y|x) / π₀(y|x)  of a whole completion      log ρ = Σ over its drawn tokens of log π - log π₀
    χ²(π‖π₀) = E_π[ρ] - 1 = E_π₀[(ρ - 1)²]           KL(π‖π₀) = E_π[log ρ]

With prompts x ~ D the expectations are over them, too. It has to be the ratio of the whole completion: a sum
over tokens of each token's χ² is another number and bounds nothing. All functions take log-ratios, in
float64, since ratios of long completions don't fit a float.

A `cap` M makes the square grow linearly beyond ρ = M, as Huber's loss does:

    χ²_M = E_π₀[h(ρ)]     h(ρ) = (ρ - 1)²  up to M,  (M - 1)² + 2(M - 1)(ρ - M)  beyond

so that no completion counts without limit: of the policy's draws each counts for at most 4M. It is at most
χ², and E_π[min(ρ, M) ∇ log π] is half its gradient, as E_π[ρ ∇ log π] is half of χ²'s.

Completions have to be drawn from the distributions themselves, at the same temperature for both and without
top-k or top-p: a truncated distribution gives no probability to what the other one may draw.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Above this log-ratio exp() is infinite. A policy that is e^700 times likelier than its reference is far.
_LARGEST = 700.0


def log_ratios(policy_NT: Floats, reference_NT: Floats, own_NT: NDArray[np.bool_]) -> Floats:
    """log ρ of each completion, [completions].

    Args:
        policy_NT: [completions, tokens], log-probability of each drawn token under the policy.
        reference_NT: the same under the reference.
        own_NT: where a token was drawn; others (padding, a tool's result) don't count.
    """
    return np.where(own_NT, policy_NT - reference_NT, 0.0).sum(axis=1, dtype=np.float64)


def kl(policy_draws: ArrayLike) -> float:
    """KL(π‖π₀) in nats: the mean log-ratio of the policy's completions. Unbiased; may be negative."""
    return float(np.mean(_floats(policy_draws)))


def chi2_of_policy(policy_draws: ArrayLike) -> float:
    """χ² as mean(ρ) - 1 over the policy's completions. Unbiased; may be negative; its tail is that of ρ."""
    return float(np.expm1(_clipped(policy_draws)).mean())


def chi2_not_negative(policy_draws: ArrayLike, cap: float = np.inf) -> float:
    """χ² as mean(ρ + 1/ρ - 2) over completions of the policy, with a cap the mean of h(ρ)/ρ.

    Unbiased, since E_π[1/ρ] = 1 where π₀ puts nothing where π has nothing, and never negative; but 1/ρ has a
    heavy tail of its own.
    """
    logs = _clipped(policy_draws)
    inverse, far = np.exp(-logs), logs > np.log(cap)
    found = np.exp(logs) + inverse - 2
    if far.any():
        found[far] = (cap - 1) * ((cap - 1) * inverse[far] + 2 * (1 - cap * inverse[far]))
    return float(found.mean())


def chi2_pooled(policy_draws: ArrayLike, reference_draws: ArrayLike, cap: float = np.inf) -> float:
    """χ² as the mean of 2(ρ - 1)²/(1 + ρ) over as many completions of the policy as of the reference.

    With half of each the draws are from the mixture m = (π + π₀)/2, and
    E_m[2(ρ-1)²/(1+ρ)] = Σ (π+π₀)/2 · 2(ρ-1)²/(1+ρ) = Σ π₀ (ρ-1)² = χ². So it is unbiased, never negative, and
    grows only like 2ρ where chi2_of_policy's square would count: half its samples see π₀'s side exactly.
    The two sides are averaged by themselves, so they may differ in number.

    Args:
        policy_draws: log-ratios of completions of the policy, [n].
        reference_draws: log-ratios of completions of the reference, [m].
        cap: M above 1; infinite: χ² itself.
    """
    sides = (pooled_terms(draws, cap).mean() for draws in (policy_draws, reference_draws))
    return float(sum(sides) / 2)


def pooled_terms(log_ratio: ArrayLike, cap: float = np.inf) -> Floats:
    """2(ρ-1)²/(1+ρ) of each, as 2(ρ-1) · tanh(log ρ / 2): no digits are lost near 1, no square overflows.

    Beyond a cap it is 2h(ρ)/(1+ρ).
    """
    logs = _clipped(log_ratio)
    found = 2 * np.expm1(logs) * np.tanh(logs / 2)
    far = logs > np.log(cap)
    if far.any():
        ratio = np.exp(logs[far])
        found[far] = 2 * (cap - 1) * ((cap - 1) / (1 + ratio) + 2 * ((ratio - cap) / (1 + ratio)))
    return found


def effective_samples(log_ratio: ArrayLike) -> float:
    """(Σρ)² / Σρ² of completions of the *reference*: as many equally weighted ones would tell as much of π.

    (Kong 1992.) 1 means that one completion stands for all of the policy. Near n / (1 + χ²) for large n; with
    few it is above that on the mean, as it is never below 1.
    """
    logs = _floats(log_ratio)
    weights = np.exp(logs - logs.max())
    return float(weights.sum() ** 2 / (weights**2).sum())


def chi2_best_of_n(n: int) -> float:
    """χ² of the best of n draws by a continuous reward, (n - 1)²/(2n - 1), whatever reward and model are.

    ρ = n · Fⁿ⁻¹ with F, the share of draws that are worse, uniform under π₀: E₀[ρ²] = n²/(2n - 1). Where
    rewards tie and the ties are broken at random it is less.
    """
    return (n - 1) ** 2 / (2 * n - 1)


def _clipped(log_ratio: ArrayLike) -> Floats:
    return np.clip(_floats(log_ratio), -_LARGEST, _LARGEST)


def _floats(values: ArrayLike) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if not found.size:
        raise ValueError("there are no completions to estimate a divergence from")
    return found
