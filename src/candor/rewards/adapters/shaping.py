"""Advantages of the √χ² objective from one number a completion, for any trainer that takes advantages.

    A = R̃ - λ · min(ρ, cap) / √χ²  less the mean of its prompt's

with no division by a deviation, which would give λ another unit in every group (see `candor.rl.regularizer`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from candor.core.errors import CandorError
from candor.rl.regularizer import ChiSquare, Seen

Floats = NDArray[np.float64]


def shaped_rewards(
    rewards: ArrayLike,
    log_ratio: ArrayLike,
    regularizer: ChiSquare,
    reference_draws: ArrayLike | None = None,
) -> tuple[Floats, float]:
    """Rewards whose policy gradient is that of J - λ√χ², and the χ² that was used.

    Args:
        rewards: as the reward says, [n]. NaN stays NaN (a completion that can't be scored).
        log_ratio: of each whole completion, log π - log π₀ summed over its drawn tokens in float32 at least.
        regularizer: with λ = sd(e) (`calibrate(...).residual_sd`) or another weight, and the largest ratio.
        reference_draws: log-ratios of completions of the reference; None: χ² from the policy's own
            completions alone, whose 1/ρ has a heavy tail.

    Raises:
        CandorError: a log-ratio is NaN or infinite: one would make χ², and with it every reward, NaN.
    """
    rewards_N, log_ratio_N = np.asarray(rewards, np.float64), np.asarray(log_ratio, np.float64)
    given = log_ratio_N if reference_draws is None else np.append(log_ratio_N, reference_draws)
    if bad := int((~np.isfinite(given)).sum()):
        raise CandorError(
            f"{bad} of {len(given)} log-ratios of policy and reference are no finite numbers, so χ² is none",
            fix="look for NaN among the log-probabilities, and for a policy whose weights are no numbers",
        )
    seen = Seen(
        rewards_PS=rewards_N[None, :],
        policy_NT=log_ratio_N[:, None],
        reference_NT=np.zeros((len(log_ratio_N), 1)),
        own_NT=np.ones((len(log_ratio_N), 1), dtype=bool),
        reference_draws=None if reference_draws is None else np.asarray(reference_draws, np.float64),
    )
    shaped = regularizer.shaped(seen)
    return shaped.rewards_PS[0], float(shaped.chi2 or 0.0)


def group_centred(rewards: ArrayLike, groups: ArrayLike) -> Floats:
    """Rewards less the mean of their group's, [n]; 0 for those that are NaN.

    Args:
        rewards: [n].
        groups: a label of each one's prompt, [n].
    """
    rewards_N = np.asarray(rewards, np.float64)
    _, code_N = np.unique(np.asarray(groups), return_inverse=True)
    known = np.isfinite(rewards_N)
    sums = np.bincount(code_N, weights=np.where(known, rewards_N, 0.0))
    means = sums / np.maximum(1, np.bincount(code_N, weights=known))
    return np.where(known, rewards_N - means[code_N], 0.0)
