"""Optimising at inference: draw several completions of the reference and choose, with nothing trained.

    best of n    the one of n with the most reward; χ² = (n-1)²/(2n-1) and KL = ln n - (n-1)/n where rewards
                 never tie (derived: the chosen one's rank has density n·u^(n-1)), so r alone says which n
    pessimism    one of all, with weights (reward - ν)₊: the optimum of E[reward] - λ · √χ² among policies
                 that choose from these (Huang et al. 2025, "Is best-of-N the best of them?")

Both give weights over a prompt's completions, [prompts, samples], that sum to 1 in each prompt; expectations
under the choice are weighted means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from candor.rewards.bound import max_min_bound
from candor.rewards.exact.optimum import chi2_optimum
from candor.rewards.exact.setting import Setting
from candor.rl.divergence import chi2_best_of_n

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BestOf:
    """A number of completions to choose from, and what it promises.

    Attributes:
        n: completions; 1 is the reference itself.
        gain: the reward's, in its standard deviations within prompts under the reference.
        chi2, kl: distance from the reference, kl in nats.
        bound: what the true gain is at least (`max_min_bound`), in standard deviations.
    """

    n: int
    gain: float
    chi2: float
    kl: float
    bound: float


def best_of_weights(rewards_PS: Floats, n: int) -> Floats:
    """The chance that each of a prompt's completions is the best of n drawn from them, [prompts, samples].

    Of S completions the j-th lowest is it with C(j-1, n-1) / C(S, n); equal rewards share.

    Raises:
        ValueError: n is less than 1 or more than there are.
    """
    samples = rewards_PS.shape[1]
    if not 1 <= n <= samples:
        raise ValueError(f"the best of {n} needs as many completions of each prompt, there are {samples}")
    rank = np.arange(1, samples + 1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        chance = np.where(
            rank >= n, np.exp(_log_choose(rank - 1, n - 1) - _log_choose(float(samples), n)), 0.0
        )
    found = np.empty_like(rewards_PS)
    for place, row in enumerate(rewards_PS):
        order = np.argsort(row, kind="stable")
        _, group = np.unique(row[order], return_inverse=True)
        shared = np.bincount(group, chance) / np.bincount(group)
        found[place, order] = shared[group]
    return found


def choose_n(rewards_PS: Floats, r: float) -> BestOf:
    """The n with the largest bound on the true gain.

    Args:
        rewards_PS: rewards of the reference's completions, [prompts, samples]; n is at most samples.
        r: correlation of the reward with the true one under the reference, within prompts, or a lower limit
            of it; at or below 0 nothing is promised, and n is 1.
    """
    samples = rewards_PS.shape[1]
    # Divided by samples - 1: with few of them, too small a deviation would promise too large a gain.
    sd = float(np.sqrt(rewards_PS.var(axis=1, ddof=1).mean())) if samples > 1 else 0.0
    choices = []
    for n in range(1, samples + 1 if r > 0 and sd > 0 else 2):
        gain = float((best_of_weights(rewards_PS, n) * rewards_PS).sum(axis=1).mean() - rewards_PS.mean())
        gain, chi2 = gain / (sd or 1.0), chi2_best_of_n(n)
        bound = max_min_bound(gain, chi2, min(r, 1.0)) if r > 0 else 0.0
        choices.append(BestOf(n, gain, chi2, float(np.log(n) - (n - 1) / n), float(bound)))
    return max(choices, key=lambda one: one.bound)


def pessimistic_weights(rewards_PS: Floats, weight: float) -> Floats:
    """(reward - ν)₊ over their sum in each prompt, for the λ given, [prompts, samples].

    Args:
        rewards_PS: rewards of the reference's completions.
        weight: λ in units of the reward; from their standard deviation within prompts on, all weigh alike.
    """
    prompts, samples = rewards_PS.shape
    even = np.full(rewards_PS.shape, 1 / samples)
    if not rewards_PS.std(axis=1).any():
        return even
    flat, names = rewards_PS.ravel(), np.repeat(np.arange(prompts), samples)
    setting = Setting.of(np.full(flat.size, 1 / flat.size), flat, flat, names)
    return even * chi2_optimum(setting, weight).reshape(rewards_PS.shape)


def _log_choose(n: Floats | float, k: int) -> Floats:
    return gammaln(np.asarray(n) + 1) - gammaln(k + 1) - gammaln(np.asarray(n) - k + 1)
