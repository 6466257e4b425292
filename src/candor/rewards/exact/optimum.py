"""The best policy for a proxy reward with a penalty, in closed form, where completions can be listed.

With δ the proxy in standard deviations (mean 0 in each prompt) and L = π/π₀, the objective with √χ² is
E₀[Lδ] - w · sqrt(E₀[L²] - 1) with w = λ/σ̃ = sqrt(1 - r²) by the theory, over L ≥ 0 with E₀[L | x] = 1 for
each prompt x. Where L > 0, stationarity says δ - w · (L - 1)/sqrt(χ²) = a multiplier of the prompt, so

    L = (δ - ν_x)₊ / c     with c = w / sqrt(χ²)

one c for all, and E₀[(δ - ν_x)₊ | x] = c fixes each ν_x. Then χ² = Var/c², Var = E₀[(δ - ν_x)₊²] - c², and
c² χ² = w² says what fixes c:

    Var = w²

Var rises from 0 (c → 0: the best arm alone) to 1 (c ≥ -min δ: no arm is left out and L = 1 + δ/c), so for
w < 1, that is for any r > 0, there is exactly one c. Max-min's objective, too, gains by more proxy reward and
loses by more χ²; its optimum is therefore of the same family, with another c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize_scalar

from candor.core.errors import InputError
from candor.rewards.bound import max_min_bound, needed_kappa
from candor.rewards.exact.setting import Setting

Floats = NDArray[np.float64]

_GRID = 120  # strengths looked at before the best one is refined


def chi2_family(setting: Setting, strength_C: ArrayLike) -> Floats:
    """(δ - ν_x)₊ / c for each c > 0: the optimum of E[δ] - (c/2) · χ², [strengths, items].

    ν_x, with E₀[(δ - ν)₊ | x] = c, is the largest of (Σ_k q δ - c) / Σ_k q over the k best arms, k = 1, 2, …,
    because the left side is the largest of Σ_k q (δ - ν) over k.
    """
    strengths_C1 = np.asarray(strength_C, dtype=np.float64).reshape(-1, 1)
    ratio_CN = np.zeros((len(strengths_C1), len(setting.delta)))
    for prompt, share in enumerate(setting.prompt_weight):
        items = np.flatnonzero(setting.prompt_N == prompt)
        falling = items[np.argsort(-setting.delta[items])]
        q_K, delta_K = setting.weight_N[falling] / share, setting.delta[falling]
        level_C1 = (((q_K * delta_K).cumsum() - strengths_C1) / q_K.cumsum()).max(axis=1, keepdims=True)
        ratio_CN[:, falling] = np.maximum(delta_K - level_C1, 0.0) / strengths_C1
    return ratio_CN


def chi2_optimum(setting: Setting, weight: float | None = None) -> Floats:
    """π/π₀ of the policy with the largest E[proxy] - weight · sqrt(χ²), [items].

    Args:
        setting: with r > 0 where `weight` is not given.
        weight: λ in proxy units; None: σ̃ · sqrt(1 - r²). From σ̃ on the reference itself is best.

    Raises:
        InputError: r ≤ 0, a proxy for which theory has no λ.
    """
    w = _of_theory(setting) if weight is None else weight / setting.sd_proxy
    if w >= 1:
        return np.ones_like(setting.delta)
    if w < 1e-9:
        return greedy(setting)

    def missing(log_c: float) -> float:
        c = float(np.exp(log_c))
        ratio_N = chi2_family(setting, c)[0]
        return c**2 * float(setting.weight_N @ ratio_N**2 - 1) - w**2

    low, high = _strengths(setting)
    root = cast(float, brentq(missing, np.log(low), np.log(high), xtol=1e-14))
    return chi2_family(setting, float(np.exp(root)))[0]


def max_min_optimum(setting: Setting) -> Floats:
    """π/π₀ of the policy with the largest max-min bound, [items]."""
    _of_theory(setting)

    def bound_at(ratio_CN: Floats) -> Floats:
        gain_C = ratio_CN @ (setting.weight_N * setting.delta)
        chi2_C = np.maximum(ratio_CN**2 @ setting.weight_N - 1, 0.0)
        return max_min_bound(gain_C, chi2_C, np.full_like(gain_C, setting.r))

    return best_of(lambda c: chi2_family(setting, c), bound_at, *_strengths(setting))


def kl_family(setting: Setting, beta_B: ArrayLike) -> Floats:
    """π/π₀ ∝ exp(proxy/β) within each prompt: the optimum of E[proxy] - β · KL(π‖π₀), [betas, items]."""
    logs_BN = setting.delta / (np.asarray(beta_B, dtype=np.float64).reshape(-1, 1) / setting.sd_proxy)
    ratio_BN = np.empty_like(logs_BN)
    for prompt, share in enumerate(setting.prompt_weight):
        items = np.flatnonzero(setting.prompt_N == prompt)
        raised = np.exp(logs_BN[:, items] - logs_BN[:, items].max(axis=1, keepdims=True))
        q_K = setting.weight_N[items] / share
        ratio_BN[:, items] = raised / (raised @ q_K)[:, None]
    return ratio_BN


def kl_in_hindsight(setting: Setting) -> Floats:
    """π/π₀ of the KL optimum whose β has the most *true* reward, which nobody could choose in advance."""
    span = (1e-3 * setting.sd_proxy, 1e3 * setting.sd_proxy)
    return best_of(lambda beta: kl_family(setting, beta), _true_reward(setting), *span)


def chi2_in_hindsight(setting: Setting) -> Floats:
    """The same for √χ² and λ, to compare like with like."""
    return best_of(lambda c: chi2_family(setting, c), _true_reward(setting), *_strengths(setting))


def greedy(setting: Setting) -> Floats:
    """π/π₀ without any penalty: each prompt's best arms alone, ties as likely as under π₀, [items]."""
    best_P = np.full(len(setting.prompt_weight), -np.inf)
    np.maximum.at(best_P, setting.prompt_N, setting.delta)
    top_N = setting.delta >= best_P[setting.prompt_N] - 1e-12
    share_P = np.bincount(setting.prompt_N, setting.weight_N * top_N)
    return top_N * (setting.prompt_weight / share_P)[setting.prompt_N]


def best_of(
    family: Callable[[ArrayLike], Floats], value: Callable[[Floats], Floats], low: float, high: float
) -> Floats:
    """The member [items] of a family over strengths in [low, high] with the largest value, refined."""
    grid = np.geomspace(low, high, _GRID)
    best = int(value(family(grid)).argmax())
    ends = np.log(grid[[max(best - 1, 0), min(best + 1, _GRID - 1)]])
    refined = minimize_scalar(
        lambda log_c: -value(family(np.exp(log_c)))[0],
        bounds=tuple(ends),
        method="bounded",
        options={"xatol": 1e-10},
    )
    found = family([grid[best], float(np.exp(refined.x))])
    return found[int(value(found).argmax())]


def _true_reward(setting: Setting) -> Callable[[Floats], Floats]:
    return lambda ratio_CN: ratio_CN @ (setting.weight_N * setting.true_N)


def _strengths(setting: Setting) -> tuple[float, float]:
    """From where only the best arms are left to where the penalty leaves hardly a gain."""
    return 1e-7, 1e3 * max(1.0, float(-setting.delta.min()))


def _of_theory(setting: Setting) -> float:
    """λ/σ̃ = sqrt(1 - r²)."""
    if not setting.r > 0:
        raise InputError(
            f"the proxy's correlation with the true reward is {setting.r:.3f} under the reference",
            field="proxy",
            fix="only a proxy that is right more often than not (r > 0) has a λ; give a weight of your own",
        )
    return float(needed_kappa(setting.r))
