"""The same proxy rewards with a penalty on *action distributions*, state by state, as is usual.

    maximise  J(π, R̃) - c · E_{s ~ μ_π}[D(π(·|s) ‖ π₀(·|s))]

also has an exact optimum: a regularised process (Geist, Scherrer & Pietquin 2019), by policy iteration.
Nothing certifies it: a policy that deviates a little in each state may end where the reference never goes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

from candor.rewards.exact.process import Floats, Process

_ROUNDS = 500  # policy iteration needs about ten


@dataclass(frozen=True)
class ActionSolution:
    """An optimal policy, and its mean divergence from the reference over the states that it visits.

    Attributes:
        policy_SA: the policy.
        occupancy_SA: its occupancy measure.
        divergence: E_{s ~ μ_π}[D].
        residual: the largest Bellman residual, in reward units: V is at most residual / (1 - γ) off.
    """

    policy_SA: Floats
    occupancy_SA: Floats
    divergence: float
    residual: float


def kl_best_response(reference_SA: Floats, found_SA: Floats, strength: float) -> Floats:
    """π ∝ π₀ exp(Q/c), the largest Σ π Q - c · KL(π‖π₀) in each state."""
    return np.asarray(softmax(np.log(reference_SA) + found_SA / strength, axis=1))


def chi2_best_response(reference_SA: Floats, found_SA: Floats, strength: float) -> Floats:
    """π = π₀ (Q - ν)₊ / c, the largest Σ π Q - (c/2) · χ²(π‖π₀) in each state.

    ν as in `optimum.chi2_family`.
    """
    order_SA = np.argsort(-found_SA, axis=1)
    q_SA = np.take_along_axis(reference_SA, order_SA, axis=1)
    falling_SA = np.take_along_axis(found_SA, order_SA, axis=1)
    levels_SA = ((q_SA * falling_SA).cumsum(axis=1) - strength) / q_SA.cumsum(axis=1)
    policy_SA = reference_SA * np.maximum(found_SA - levels_SA.max(axis=1, keepdims=True), 0.0)
    return policy_SA / policy_SA.sum(axis=1, keepdims=True)


def kl_of(policy_SA: Floats, reference_SA: Floats) -> Floats:
    """KL(π‖π₀) in nats, [states]."""
    ratio_SA = policy_SA / reference_SA
    return (policy_SA * np.log(np.where(ratio_SA > 0, ratio_SA, 1.0))).sum(axis=1)


def chi2_of(policy_SA: Floats, reference_SA: Floats) -> Floats:
    """χ²(π‖π₀), [states]."""
    return (policy_SA**2 / reference_SA).sum(axis=1) - 1


_RESPONSES: dict[str, tuple[Callable[..., Floats], Callable[..., Floats], float]] = {
    "kl": (kl_best_response, kl_of, 1.0),
    "chi2": (chi2_best_response, chi2_of, 0.5),
}


def action_penalised(
    process: Process, reference_SA: Floats, reward_SA: Floats, divergence: str, strength: float
) -> ActionSolution:
    """The policy with the largest J - strength · E[KL], or J - strength/2 · E[χ²].

    Args:
        process: states and moves.
        reference_SA: the reference *policy* π₀(a|s).
        reward_SA: what is maximised.
        divergence: "kl" or "chi2".
        strength: c, in reward units.
    """
    respond, measure, factor = _RESPONSES[divergence]
    policy_SA, residual = reference_SA, np.inf
    value_S = np.zeros(process.states)
    for _ in range(_ROUNDS):
        paid_S1 = factor * strength * measure(policy_SA, reference_SA)[:, None]
        value_S = process.values(policy_SA, reward_SA - paid_S1)
        found_SA = process.action_values(value_S, reward_SA)
        policy_SA = respond(reference_SA, found_SA, strength)
        paid_S = factor * strength * measure(policy_SA, reference_SA)
        previous, residual = (
            residual,
            float(np.abs((policy_SA * found_SA).sum(axis=1) - paid_S - value_S).max()),
        )
        if residual < 1e-13 or (residual < 1e-9 and residual >= previous):
            break
    occupancy_SA = process.occupancy(policy_SA)
    spent = float(occupancy_SA.sum(axis=1) @ measure(policy_SA, reference_SA))
    return ActionSolution(policy_SA, occupancy_SA, spent, residual)


def action_chi2_optimum(
    process: Process, reference_SA: Floats, reward_SA: Floats, weight: float
) -> ActionSolution:
    """The policy with the largest J - weight · sqrt(E[χ²]): that of c = weight / sqrt(E[χ²])."""

    def at(log_strength: float) -> float:
        strength = float(np.exp(log_strength))
        spent = action_penalised(process, reference_SA, reward_SA, "chi2", strength).divergence
        return strength * float(np.sqrt(max(spent, 0.0))) - weight

    low, high = np.log(1e-5 * weight), np.log(1e5 * weight)
    # As the penalty grows c · sqrt(E[χ²]) rises to a limit; a weight above it leaves the reference in place.
    root = high if at(high) < 0 else cast(float, brentq(at, low, high, xtol=1e-10))
    strength = float(np.exp(root))
    return action_penalised(process, reference_SA, reward_SA, "chi2", strength)
