"""Policies that are optimal for a proxy reward with a penalty on how far their occupancy goes, exactly.

    maximise  Σ μ R̃ - c · E_μ₀[f(μ/μ₀)]   over all occupancy measures μ      f(L) = (L² - 1)/2  or  L log L

is convex in μ, and its dual has one variable a state and no constraint (Nachum & Dai 2020; OptiDICE,
Lee et al. 2021): with A(s, a) = R̃ + γ V(next) - V(s) and f* the conjugate of f over L ≥ 0,

    minimise  (1 - γ) V(start) + c · E_μ₀[f*(A/c)]   over V      then  μ/μ₀ = f*'(A/c)

Newton's method ends in some ten steps of one sparse solve each. No step count is trusted: the policy that is
read off has its occupancy measure computed, and `gap` says how far its objective is at most from the optimum.

The penalty λ · sqrt(χ²) has the same stationary points as (c/2) · χ² with c = λ / sqrt(χ²), so that one more
unknown, c, is found by bisection: c · sqrt(χ²) rises in c, from 0 to a limit at which the reference itself is
optimal. Max-min's optimum is of the same family (see `frontier`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import sparse
from scipy.optimize import brentq
from scipy.sparse.linalg import splu
from scipy.special import logsumexp

from candor.core.errors import CandorError
from candor.rewards.exact.process import Floats, Process, policy_of

_STEPS = 200  # of Newton; some ten are needed
# Strengths in standard deviations of the proxy: nearly no change, and nearly none but the best policy.
_STRONGEST, _WEAKEST = 1e3, 1e-3
_RIDGE = 1e-9
_FLOW_ERROR = 1e-13  # probability that is in the wrong place when Newton stops


@dataclass(frozen=True)
class Solution:
    """An optimal policy.

    Attributes:
        policy_SA, occupancy_SA: the policy and its measure.
        strength: c of the penalty, in reward units.
        gap: its objective is at most this much below the best, in reward units a step.
        value_S: the dual's V, to start the next one from.
    """

    policy_SA: Floats
    occupancy_SA: Floats
    strength: float
    gap: float
    value_S: Floats


class Chi2:
    """f(L) = (L² - 1)/2: its expectation is χ²/2."""

    def penalty(self, ratio: Floats) -> Floats:
        """f."""
        return (ratio**2 - 1) / 2

    def conjugate(self, x: Floats) -> Floats:
        """f*(x), the largest L·x - f(L) over L ≥ 0."""
        return (np.maximum(x, 0.0) ** 2 + 1) / 2

    def ratio(self, x: Floats) -> Floats:
        """The L at which it is, f*'."""
        return np.maximum(x, 0.0)

    def slope(self, x: Floats) -> Floats:
        """f*''."""
        return (x > 0).astype(np.float64)

    def excess(self, x: Floats, weight: Floats) -> float:
        """What to take off x to begin with a sensible ratio everywhere."""
        return float(x.max()) - 1


class Kl:
    """f(L) = L log L: its expectation is KL(μ‖μ₀)."""

    def penalty(self, ratio: Floats) -> Floats:
        """f."""
        return ratio * np.log(np.where(ratio > 0, ratio, 1.0))

    def conjugate(self, x: Floats) -> Floats:
        """f*(x) = exp(x - 1), which is its own derivative; far steps of a line search must not overflow."""
        return np.exp(np.minimum(x - 1, 600.0))

    ratio = conjugate
    slope = conjugate

    def excess(self, x: Floats, weight: Floats) -> float:
        """What to take off x for a mean ratio of 1."""
        return float(np.asarray(logsumexp(x - 1, b=weight)))


def penalised(
    process: Process,
    reference_SA: Floats,
    reward_SA: Floats,
    divergence: Chi2 | Kl,
    strength: float,
    value_S: Floats | None = None,
) -> Solution:
    """The policy with the largest Σ μ · reward - strength · E_μ₀[f(μ/μ₀)].

    Args:
        process: whose occupancy measures.
        reference_SA: the measure μ₀, positive everywhere.
        reward_SA: what is maximised.
        divergence: f.
        strength: c > 0, in reward units.
        value_S: V to start from, of a neighbouring strength.
    """
    B, weight, reward = process.lookahead, reference_SA.ravel(), reward_SA.ravel()
    reference_policy_SA = policy_of(reference_SA, process.uniform)
    V = process.values(reference_policy_SA, reward_SA) if value_S is None else value_S

    def scaled(V: Floats) -> Floats:
        return (reward + B @ V) / strength

    def dual(V: Floats) -> float:
        return float((1 - process.discount) * V[0] + strength * weight @ divergence.conjugate(scaled(V)))

    # A constant more in V is (1 - γ) of it less in A.
    V = V + strength * divergence.excess(scaled(V), weight) / (1 - process.discount)
    now, scale = dual(V), float(np.abs(reward).max())
    for _ in range(_STEPS):
        x = scaled(V)
        violated = B.T @ (weight * divergence.ratio(x))  # the dual's gradient is what the flow lacks
        violated[0] += 1 - process.discount
        if np.abs(violated).sum() < _FLOW_ERROR:
            break
        curvature = B.T @ sparse.diags(weight * divergence.slope(x) / strength) @ B
        # Where the optimum never comes V is free, and the curvature is 0: there a trace of what it would be
        # if everything were visited as by the reference.
        ridge = sparse.diags((_RIDGE * (abs(B).T @ weight) + 1e-14) / strength)
        step = splu((curvature + ridge).tocsc()).solve(violated)
        size, wanted = 1.0, 1e-4 * float(violated @ step)
        # Room for rounding: near the optimum the dual is flat long before the flow is right.
        while size > 1e-6 and dual(V - size * step) > now - size * wanted + 1e-13 * scale:
            size /= 2
        V = V - size * step
        now = dual(V)
    ratio_SA = divergence.ratio(scaled(V)).reshape(reward_SA.shape)
    policy_SA = policy_of(reference_SA * ratio_SA, reference_policy_SA)
    occupancy_SA = process.occupancy(policy_SA)
    penalty = strength * float((reference_SA * divergence.penalty(occupancy_SA / reference_SA)).sum())
    reached = float((occupancy_SA * reward_SA).sum()) - penalty
    return Solution(policy_SA, occupancy_SA, strength, max(0.0, dual(V) - reached), V)


def frontier(
    process: Process, reference_SA: Floats, reward_SA: Floats, divergence: Chi2 | Kl, strengths: Floats
) -> list[Solution]:
    """Optima from the strongest penalty to the weakest, each from the one before.

    With `Chi2` these are all optima of √χ² and of max-min, too, whatever their weights: each has the most
    proxy reward that its χ² can buy, and an objective that gains by one and loses by the other has its
    optimum among such.
    """
    found: list[Solution] = []
    for strength in sorted(map(float, strengths), reverse=True):
        start_S = found[-1].value_S if found else None
        found.append(penalised(process, reference_SA, reward_SA, divergence, strength, start_S))
    return found


def largest_kappa(process: Process, reference_SA: Floats, delta_SA: Floats) -> float:
    """The supremum of gain / sqrt(χ²) over all policies but the reference.

    A policy can't move its occupancy in any direction: small moves h = L - 1 fulfil the flow's equations, and
    the best of them is what of δ is orthogonal in L²(μ₀) to all γ V(next) - V(s). In a bandit nothing is in
    the way, and it is 1. Where it is below sqrt(1 - r²), no policy at all can be certified.
    """
    B, weight = process.lookahead, sparse.diags(reference_SA.ravel())
    value_S = splu((B.T @ weight @ B).tocsc()).solve(-(B.T @ (weight @ delta_SA.ravel())))
    left = delta_SA.ravel() + B @ value_S
    return float(np.sqrt(left @ (weight @ left)))


def chi2_optimum(process: Process, reference_SA: Floats, delta_SA: Floats, w: float) -> Solution:
    """The policy with the largest gain - w · sqrt(χ²).

    Args:
        process: whose occupancy measures.
        reference_SA: the measure μ₀.
        delta_SA: the proxy with mean 0 and standard deviation 1 under μ₀.
        w: λ/σ̃; the theory's is sqrt(1 - r²).
    """

    def missing(gain: float, chi2: float, strength: float) -> float:
        return strength * np.sqrt(chi2) - w

    return _at_condition(process, reference_SA, delta_SA, w, missing)


def max_min_optimum(process: Process, reference_SA: Floats, delta_SA: Floats, r: float) -> Solution:
    """The policy with the largest max-min bound.

    Its gradient is that of gain - (c/2) · χ² with 1/c = gain + sqrt(χ² - gain²) / w and w = sqrt(1 - r²)/r.
    """
    w = np.sqrt(1 - r**2) / r

    def missing(gain: float, chi2: float, strength: float) -> float:
        return strength * (gain + np.sqrt(max(chi2 - gain**2, 0.0)) / w) - 1

    return _at_condition(process, reference_SA, delta_SA, float(np.sqrt(1 - r**2)), missing)


def _at_condition(
    process: Process,
    reference_SA: Floats,
    delta_SA: Floats,
    needed: float,
    missing: Callable[[float, float, float], float],
) -> Solution:
    """The member of the χ² family at which `missing` is 0; the reference where no policy has the needed κ."""
    reference = penalised(process, reference_SA, delta_SA, Chi2(), _STRONGEST)
    if largest_kappa(process, reference_SA, delta_SA) <= needed:
        policy_SA = policy_of(reference_SA, process.uniform)
        return Solution(policy_SA, reference_SA, np.inf, 0.0, reference.value_S)
    last = reference

    def at(log_strength: float) -> float:
        nonlocal last
        strength = float(np.exp(log_strength))
        last = penalised(process, reference_SA, delta_SA, Chi2(), strength, last.value_S)
        gain = float((last.occupancy_SA * delta_SA).sum())
        chi2 = float((reference_SA * (last.occupancy_SA / reference_SA - 1) ** 2).sum())
        return missing(gain, chi2, strength)

    if at(np.log(_WEAKEST)) > 0:
        raise CandorError(
            f"the penalty's weight, {needed:.1e} standard deviations of the proxy, is too small to solve for",
            fix="the proxy is nearly the true reward (r near 1): take a reference that sees its errors",
        )
    root = cast(float, brentq(at, np.log(_WEAKEST), np.log(_STRONGEST), xtol=1e-10))
    return penalised(process, reference_SA, delta_SA, Chi2(), float(np.exp(root)), last.value_S)
